# Copyright (c) group_wsss contributors. All rights reserved.
from .bootstrapped_cross_entropy import BootstrappedCrossEntropy
from .collision_cross_entropy import CollisionCrossEntropy
from .equivariance_loss import EquivarianceLoss
from .gated_crf_loss import GatedCRFLoss
from .pixel_correlation import PixelCorrelation
from .pixel_loss import PixelLoss
from .recam_loss import ReCAMLoss
from .score_weighted_cross_entropy import ScoreWeightedCrossEntropy
from .soft_cross_entropy import SoftCrossEntropy

__all__ = [
    'BootstrappedCrossEntropy', 'CollisionCrossEntropy', 'EquivarianceLoss',
    'GatedCRFLoss', 'PixelCorrelation', 'PixelLoss', 'ReCAMLoss',
    'ScoreWeightedCrossEntropy', 'SoftCrossEntropy'
]
