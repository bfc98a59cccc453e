# Copyright (c) group_wsss contributors. All rights reserved.
"""Regions of images without a class: superpixels, Segment Anything."""
from .make_regions import make_regions
from .sam import SAM_KINDS, SamRegions
from .superpixels import SUPERPIXELS, Superpixels

__all__ = [
    'SAM_KINDS', 'SUPERPIXELS', 'SamRegions', 'Superpixels', 'make_regions'
]
