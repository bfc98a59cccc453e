# Copyright (c) group_wsss contributors. All rights reserved.
from .affinity import AffinityHead, AffinityLoss, AffinityNet
from .backbones import VGGOS8, EffNetLite0, FeatureCache
from .classifiers import GroupCAM
from .data_preprocessors import GroupDataPreprocessor
from .heads import GroupCAMHead
from .layers import (CoAttention, ContrastKeys, ConvGRU, GraphDropout,
                     PCAWhitening, PixelAdaptiveRefinement, Projection)
from .losses import (BootstrappedCrossEntropy, CollisionCrossEntropy,
                     GatedCRFLoss, ScoreWeightedCrossEntropy, SeedContrast,
                     SoftCrossEntropy)
from .necks import CoAttentionGNN
from .segmentors import build_weak_encoder_decoder
from .tta import GroupCAMTTA

__all__ = [
    'AffinityHead', 'AffinityLoss', 'AffinityNet', 'BootstrappedCrossEntropy',
    'CoAttention', 'ContrastKeys', 'CoAttentionGNN', 'CollisionCrossEntropy',
    'ConvGRU', 'EffNetLite0', 'FeatureCache', 'GatedCRFLoss', 'GraphDropout',
    'GroupCAM', 'GroupCAMHead', 'GroupCAMTTA', 'GroupDataPreprocessor',
    'PCAWhitening', 'PixelAdaptiveRefinement', 'Projection',
    'ScoreWeightedCrossEntropy', 'SeedContrast', 'SoftCrossEntropy', 'VGGOS8',
    'build_weak_encoder_decoder'
]
