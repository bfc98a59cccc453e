# Copyright (c) group_wsss contributors. All rights reserved.
"""From Python: label images, export networks."""
from .inferencer import GroupCAMInferencer
from .segmentation import SegmentationInferencer

__all__ = [
    'GroupCAMInferencer',
    'SegmentationInferencer',
]
