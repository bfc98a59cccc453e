# Copyright (c) group_wsss contributors. All rights reserved.
"""Class maps in, label images out; no runner."""
from .dump import LabelDump
from .labelers import SaliencyLabeler, ThresholdLabeler
from .pipeline import LabelPipeline
from .refiners import (AttentionWalk, BaseRefiner, Judge, PixelAdaptive,
                       RandomWalk, Refiners, RegionVote, Saliency, Segmentor)
from .refiners.crf import DenseCRF, dense_crf

__all__ = [
    'AttentionWalk',
    'BaseRefiner',
    'DenseCRF',
    'Judge',
    'LabelDump',
    'LabelPipeline',
    'PixelAdaptive',
    'RandomWalk',
    'Refiners',
    'RegionVote',
    'Saliency',
    'SaliencyLabeler',
    'Segmentor',
    'ThresholdLabeler',
    'dense_crf',
]
