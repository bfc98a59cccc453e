# Copyright (c) group_wsss contributors. All rights reserved.
from .attention_walk import AttentionWalk
from .background import BackgroundRefiner, add_background, remove_background
from .base import BaseRefiner
from .compose import Refiners
from .crf.dense_crf import DenseCRF, dense_crf
from .judge import Judge
from .pixel_adaptive import PixelAdaptive
from .random_walk import RandomWalk
from .region_vote import RegionVote
from .saliency import Saliency
from .segmentor import Segmentor

__all__ = [
    'AttentionWalk', 'BackgroundRefiner', 'BaseRefiner', 'DenseCRF', 'Judge',
    'PixelAdaptive', 'RandomWalk', 'Refiners', 'RegionVote', 'Saliency',
    'Segmentor', 'add_background', 'dense_crf', 'remove_background'
]
