# Copyright (c) group_wsss contributors. All rights reserved.
from .group_cam_head import GroupCAMHead

__all__ = ['GroupCAMHead']
