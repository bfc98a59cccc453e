# Copyright (c) group_wsss contributors. All rights reserved.
"""Masks of other tools and networks, as a dump of scores."""
from .coco_source import CocoSource
from .cvat_source import CvatSource
from .import_masks import import_masks
from .label_studio_source import LabelStudioSource
from .png_source import PngSource
from .results_source import ResultsSource
from .source import ForeignImage, ForeignMask

__all__ = [
    'CocoSource', 'CvatSource', 'ForeignImage', 'ForeignMask',
    'LabelStudioSource', 'PngSource', 'ResultsSource', 'import_masks'
]
