# Copyright (c) group_wsss contributors. All rights reserved.
from .affinity import AffinityHead, AffinityLoss, AffinityNet
from .backbones import VGGOS8, EffNetLite0, FeatureCache, TIMMTransformer
from .classifiers import GroupCAM
from .data_preprocessors import GroupDataPreprocessor
from .heads import GroupCAMHead
from .layers import (CoAttention, ContrastKeys, ConvGRU, GraphDropout,
                     PCAWhitening, PixelAdaptiveRefinement, PositionalDebias,
                     Projection)
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
    'PCAWhitening', 'PixelAdaptiveRefinement', 'PositionalDebias',
    'Projection', 'ScoreWeightedCrossEntropy', 'SeedContrast',
    'SoftCrossEntropy', 'TIMMTransformer', 'VGGOS8',
    'build_weak_encoder_decoder'
]
