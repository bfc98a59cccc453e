# Copyright (c) group_wsss contributors. All rights reserved.
"""Class maps in, label images out; no network, no runner."""
from .dump import LabelDump
from .index_png import encode_index_png, open_image, read_index_png
from .labelers import SaliencyLabeler, ThresholdLabeler
from .refiners import BaseRefiner, Refiners
from .score_map import ScoreMap
from .versions import sha256_of, software_versions
from .writer import LabelWriter

__all__ = [
    'BaseRefiner', 'LabelDump', 'LabelWriter', 'Refiners', 'SaliencyLabeler', 'ScoreMap',
    'ThresholdLabeler', 'encode_index_png', 'open_image', 'read_index_png',
    'sha256_of', 'software_versions'
]
