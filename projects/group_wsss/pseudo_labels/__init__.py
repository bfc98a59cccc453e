# Copyright (c) group_wsss contributors. All rights reserved.
"""Class maps in, label images out; no network, no runner."""
from .files import (atomic_write, check_image_id, make_folder, output_path,
                    remove_leftovers)
from .index_png import encode_index_png, open_image, read_index_png
from .labelers import SaliencyLabeler, ThresholdLabeler
from .palette import voc_palette
from .score_map import ScoreMap
from .versions import sha256_of, software_versions
from .writer import LabelWriter

__all__ = [
    'LabelWriter', 'SaliencyLabeler', 'ScoreMap', 'ThresholdLabeler',
    'atomic_write', 'check_image_id', 'encode_index_png', 'make_folder',
    'open_image', 'output_path', 'read_index_png', 'remove_leftovers',
    'sha256_of', 'software_versions', 'voc_palette'
]
