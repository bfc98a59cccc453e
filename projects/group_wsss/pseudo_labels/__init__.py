# Copyright (c) group_wsss contributors. All rights reserved.
"""Class maps in, label images out; no runner."""
from .dump import LabelDump
from .index_png import encode_index_png, open_image, read_index_png
from .labelers import SaliencyLabeler, ThresholdLabeler
from .refiners import (BaseRefiner, DenseCRF, PixelAdaptive, RandomWalk,
                       Refiners, Saliency, Segmentor, dense_crf)
from .score_map import ScoreMap
from .versions import sha256_of, software_versions
from .writer import LabelWriter

__all__ = [
    'BaseRefiner', 'DenseCRF', 'LabelDump', 'LabelWriter', 'PixelAdaptive',
    'RandomWalk', 'Refiners', 'Saliency', 'SaliencyLabeler', 'ScoreMap',
    'Segmentor', 'ThresholdLabeler', 'dense_crf', 'encode_index_png',
    'open_image', 'read_index_png', 'sha256_of', 'software_versions'
]
