# Copyright (c) group_wsss contributors. All rights reserved.
from .effnet_lite0 import EffNetLite0
from .feature_cache import FeatureCache
from .timm_transformer import TIMMTransformer
from .vgg_os8 import VGGOS8

__all__ = ['EffNetLite0', 'FeatureCache', 'TIMMTransformer', 'VGGOS8']
