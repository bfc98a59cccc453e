# Copyright (c) group_wsss contributors. All rights reserved.
"""Background thresholds from the scores of a dump alone; no mask is read."""
from typing import Callable, Dict, Optional, Union

import numpy as np

from ..structures.score_map import ScoreMap
from ..utils.errors import InputError
from .options import check_options

NUM_BINS = 256
# every image has the same weight, whatever its size; an integer, so
# that sums do not depend on the order of images or processes
IMAGE_WEIGHT = 2**24


def score_histogram(score_map: ScoreMap) -> np.ndarray:
    """Histogram of the strongest score of each cell.

    Args:
        score_map (ScoreMap): Of any size; it is not resized.

    Returns:
        np.ndarray: int64 ``(NUM_BINS, )`` over [0, 1], a sum of about
        ``IMAGE_WEIGHT``; all 0 if the image has no class.
    """
    if not len(score_map.maps):
        return np.zeros(NUM_BINS, dtype=np.int64)
    best = score_map.maps.max(axis=0)
    # the upper end of a bin belongs to it: "above the threshold" is strict
    bins = np.ceil(best.astype(np.float64) * NUM_BINS).astype(np.int64) - 1
    counts = np.bincount(bins.clip(min=0).reshape(-1), minlength=NUM_BINS)
    return counts * IMAGE_WEIGHT // best.size


def otsu(histogram: np.ndarray) -> float:
    """The threshold that parts the scores into two compact groups.

    Maximises the variance between the means of both sides (Otsu, "A
    threshold selection method from gray-level histograms", 1979). Of equally
    good thresholds the middle one is taken.

    Args:
        histogram (np.ndarray): Sum of :func:`score_histogram`,
            ``(NUM_BINS, )``.

    Returns:
        float: In (0, 1), an edge between two bins; 0.5 if all scores fall
        into one bin or there are none.
    """
    weights = histogram.astype(np.float64)
    total = weights.sum()
    if np.count_nonzero(weights) < 2:
        return 0.5
    weights = weights / total
    centers = (np.arange(NUM_BINS) + 0.5) / NUM_BINS
    below = weights.cumsum()[:-1]
    mass = (weights * centers).cumsum()
    gap = mass[-1] * below - mass[:-1]
    room = below * (1 - below)
    spread = np.divide(gap**2, room, out=np.zeros_like(gap), where=room > 0)
    # empty bins between the groups do not change the spread
    best = np.flatnonzero(spread >= spread.max() * (1 - 1e-9))
    return float((best[0] + best[-1] + 2) / 2 / NUM_BINS)


THRESHOLDS: Dict[str, Callable[[np.ndarray], float]] = {'otsu': otsu}


class ThresholdRule:
    """A ``bg_threshold`` that is a number or chosen by a rule."""

    def set_threshold(self, bg_threshold: Union[float, str]) -> None:
        """Remember the number, or the rule.

        Args:
            bg_threshold (float | str): In [0, 1], or a key of
                ``THRESHOLDS``.

        Raises:
            InputError: Neither.
        """
        self.rule: Optional[str] = None
        self.bg_threshold: Optional[float] = None
        if isinstance(bg_threshold, str) and bg_threshold in THRESHOLDS:
            self.rule = bg_threshold
            return
        good = isinstance(bg_threshold,
                          (int, float)) and 0 <= bg_threshold <= 1
        check_options(
            type(self).__name__,
            bg_threshold=(bg_threshold, good,
                          f'in [0, 1] or one of {sorted(THRESHOLDS)}'))
        self.bg_threshold = float(bg_threshold)

    def fit(self, histogram: np.ndarray) -> float:
        """Choose ``bg_threshold`` by the rule, and return it.

        Args:
            histogram (np.ndarray): Sum of :func:`score_histogram` over all
                images, of the maps that this step is given.
        """
        assert self.rule is not None, 'the threshold is a number already'
        self.bg_threshold = THRESHOLDS[self.rule](histogram)
        return self.bg_threshold

    def need_threshold(self) -> float:
        """The threshold.

        Raises:
            InputError: The rule has not been given any scores.
        """
        if self.bg_threshold is None:
            raise InputError(
                f'bg_threshold={self.rule!r} of {type(self).__name__} needs '
                'the scores of all images first: call fit(), or give a '
                'number')
        return self.bg_threshold
