# Copyright (c) group_wsss contributors. All rights reserved.
from .cam_iou import CAMIoU

__all__ = ['CAMIoU']
