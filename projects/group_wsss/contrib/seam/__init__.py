# Copyright (c) group_wsss contributors. All rights reserved.
"""SEAM (CVPR 2020)."""
from .equivariance_loss import EquivarianceLoss
from .pixel_correlation import PixelCorrelation
from .seam_group_cam import SEAMGroupCAM

__all__ = ['EquivarianceLoss', 'PixelCorrelation', 'SEAMGroupCAM']
