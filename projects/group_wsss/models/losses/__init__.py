# Copyright (c) group_wsss contributors. All rights reserved.
from .bootstrapped_cross_entropy import BootstrappedCrossEntropy
from .collision_cross_entropy import CollisionCrossEntropy
from .gated_crf_loss import GatedCRFLoss
from .pixel_loss import PixelLoss
from .score_weighted_cross_entropy import ScoreWeightedCrossEntropy
from .seed_contrast import SeedContrast
from .soft_cross_entropy import SoftCrossEntropy

__all__ = [
    'BootstrappedCrossEntropy', 'CollisionCrossEntropy', 'GatedCRFLoss',
    'PixelLoss', 'ScoreWeightedCrossEntropy', 'SeedContrast',
    'SoftCrossEntropy'
]
