# Copyright (c) group_wsss contributors. All rights reserved.
from .cam_iou import CAMIoU
from .checked_iou_metric import CheckedIoUMetric

__all__ = ['CAMIoU', 'CheckedIoUMetric']
