# Copyright (c) group_wsss contributors. All rights reserved.
"""ReCAM (CVPR 2022)."""
from .recam_head import ReCAMHead
from .recam_loss import ReCAMLoss

__all__ = ['ReCAMHead', 'ReCAMLoss']
