# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Union

import numpy as np

from ...registry import TASK_UTILS
from ...structures.label_image import IGNORE_INDEX
from ...structures.score_map import ScoreMap
from ..thresholds import ThresholdRule
from .rules import blank_without_foreground, check_shares, mark_conflicts


@TASK_UTILS.register_module()
class ThresholdLabeler(ThresholdRule):
    """The strongest class where its score is above a threshold.

    A pixel is foreground where ``score > bg_threshold``, both float32, at
    image size; a score equal to the threshold is background. A tie between
    classes goes to the lowest class id.

    The threshold is a number, or ``'otsu'``: then it is chosen once, from
    the scores of all images of the dump and from nothing else
    (:func:`group_wsss.pseudo_labels.thresholds.otsu`), and :meth:`fit` must
    be called before any image is labelled.

    Args:
        bg_threshold (float | str): Background threshold, or the name of a
            rule that chooses it. Defaults to 0.35.
        unknown_threshold (float, optional): Scores above it and up to
            ``bg_threshold`` become unknown rather than background. Defaults
            to None.
        conflict_threshold (float, optional): Pixels where more than one
            class is above it become unknown. Defaults to None.
        min_foreground (float): An image with a smaller share of foreground
            becomes unknown as a whole. Defaults to 0.0, which never happens.
        margin (float): Scores above ``bg_threshold - margin`` and up to
            ``bg_threshold + margin`` become unknown: confident seeds.
            Defaults to 0.0.

    Raises:
        InputError: ``bg_threshold`` is no number and no known rule.
    """

    def __init__(self,
                 bg_threshold: Union[float, str] = 0.35,
                 unknown_threshold: Optional[float] = None,
                 conflict_threshold: Optional[float] = None,
                 min_foreground: float = 0.0,
                 margin: float = 0.0) -> None:
        self.set_threshold(bg_threshold)
        check_shares(
            'ThresholdLabeler',
            unknown_threshold=unknown_threshold,
            conflict_threshold=conflict_threshold,
            min_foreground=min_foreground,
            margin=margin)
        assert unknown_threshold is None or self.rule is None, (
            'unknown_threshold needs a bg_threshold that is a number; use '
            'margin')
        assert unknown_threshold is None or (
            unknown_threshold <= self.need_threshold()), (
                'unknown_threshold must not be above bg_threshold')
        self.unknown_threshold = unknown_threshold
        self.margin = margin
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
        low = high = self.need_threshold()
        if self.unknown_threshold is not None:
            low = self.unknown_threshold
        # a score of 0 says nothing for a class
        low, high = max(low - self.margin, 0), high + self.margin
        score, label = score_map.best(full=True)
        background = score <= np.float32(high)
        np.copyto(label, 0, where=background)
        if low < high:
            label[background & (score > np.float32(low))] = IGNORE_INDEX
        mark_conflicts(label, score_map.full_maps(), self.conflict_threshold)
        blank_without_foreground(label, self.min_foreground)
        return label
