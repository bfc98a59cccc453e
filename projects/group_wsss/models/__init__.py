# Copyright (c) group_wsss contributors. All rights reserved.
from .backbones import VGGOS8, EffNetLite0, FeatureCache
from .classifiers import GroupCAM
from .data_preprocessors import GroupDataPreprocessor
from .heads import GroupCAMHead
from .layers import CoAttention, ConvGRU, GraphDropout, PCAWhitening
from .necks import CoAttentionGNN

__all__ = [
    'CoAttention', 'CoAttentionGNN', 'ConvGRU', 'EffNetLite0', 'FeatureCache',
    'GraphDropout', 'GroupCAM', 'GroupCAMHead', 'GroupDataPreprocessor',
    'PCAWhitening', 'VGGOS8'
]
