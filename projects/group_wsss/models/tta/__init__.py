# Copyright (c) group_wsss contributors. All rights reserved.
from .group_cam_tta import GroupCAMTTA

__all__ = ['GroupCAMTTA']
