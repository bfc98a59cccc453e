# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional

import numpy as np

from ...registry import TASK_UTILS
from ..score_map import ScoreMap
from ..writer import UNKNOWN
from .rules import blank_without_foreground, check_share, mark_conflicts


@TASK_UTILS.register_module()
class ThresholdLabeler:
    """The strongest class where its score is above a fixed threshold.

    A pixel is foreground where ``score > bg_threshold``, both float32, at
    image size; a score equal to the threshold is background. A tie between
    classes goes to the lowest class id.

    Args:
        bg_threshold (float): Background threshold. Defaults to 0.35.
        unknown_threshold (float, optional): Scores above it and up to
            ``bg_threshold`` become unknown rather than background. Defaults
            to None.
        conflict_threshold (float, optional): Pixels where more than one
            class is above it become unknown. Defaults to None.
        min_foreground (float): An image with a smaller share of foreground
            becomes unknown as a whole. Defaults to 0.0, which never happens.
    """

    def __init__(self,
                 bg_threshold: float = 0.35,
                 unknown_threshold: Optional[float] = None,
                 conflict_threshold: Optional[float] = None,
                 min_foreground: float = 0.0) -> None:
        check_share('bg_threshold', bg_threshold)
        check_share('unknown_threshold', unknown_threshold)
        check_share('conflict_threshold', conflict_threshold)
        check_share('min_foreground', min_foreground)
        assert unknown_threshold is None or (
            unknown_threshold <= bg_threshold), (
                'unknown_threshold must not be above bg_threshold')
        self.bg_threshold = bg_threshold
        self.unknown_threshold = unknown_threshold
        self.conflict_threshold = conflict_threshold
        self.min_foreground = min_foreground

    def __call__(self, score_map: ScoreMap) -> np.ndarray:
        """Label an image.

        Args:
            score_map (ScoreMap): Of any size.

        Returns:
            np.ndarray: uint8 ``(H, W)``: 0 background, class id + 1, 255
            unknown.
        """
        score_map = score_map.resize()
        score, label = score_map.best()
        background = score <= np.float32(self.bg_threshold)
        label[background] = 0
        if self.unknown_threshold is not None:
            above = score > np.float32(self.unknown_threshold)
            label[background & above] = UNKNOWN
        mark_conflicts(label, score_map.maps, self.conflict_threshold)
        blank_without_foreground(label, self.min_foreground)
        return label
