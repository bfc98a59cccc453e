# Copyright (c) group_wsss contributors. All rights reserved.
from .group_cam import GroupCAM

__all__ = ['GroupCAM']
