# Copyright (c) group_wsss contributors. All rights reserved.
"""Conversion of class scores to probabilities with background."""
from typing import Optional, Union

import numpy as np

from ..options import check_options
from ..thresholds import THRESHOLDS, ThresholdRule
from .base import BaseRefiner


def add_background(maps: np.ndarray,
                   bg_threshold: float = 0.5,
                   bg_power: Optional[float] = None) -> np.ndarray:
    """Probabilities of background and of each class.

    The background score is ``bg_threshold`` everywhere, or, with
    ``bg_power``, ``(1 - max_c s_c) ** bg_power``; then all scores of a pixel
    are divided by their sum.

    Args:
        maps (np.ndarray): float32 ``(n, h, w)`` in [0, 1].
        bg_threshold (float): Score at which a class and background are
            equally likely, in (0, 1). Defaults to 0.5.
        bg_power (float, optional): Used instead of ``bg_threshold``.
            Defaults to None.

    Returns:
        np.ndarray: float32 ``(n + 1, h, w)``, background first; sums to 1.
    """
    if bg_power is None:
        background = np.full_like(maps[:1], bg_threshold)
    else:
        background = (1 - maps.max(axis=0, keepdims=True))**bg_power
    probs = np.concatenate([background, maps]).astype(np.float32)
    # with bg_power all scores may be close to 0, never all exactly 0
    return probs / probs.sum(axis=0)


def remove_background(probs: np.ndarray) -> np.ndarray:
    """Scores of which the strongest beats the background above 0.5.

    Args:
        probs (np.ndarray): float32 ``(n + 1, h, w)``, background first; need
            not sum to 1.

    Returns:
        np.ndarray: ``p_c / (max_k p_k + p_background)`` with the maximum
        over classes, float32 ``(n, h, w)``; 0 where all are 0. For the
        strongest class that is its share against background; unlike that
        share, it keeps the order of the classes where background is all
        but impossible.
    """
    total = probs[1:].max(axis=0, keepdims=True) + probs[:1]
    scores = np.divide(
        probs[1:], total, out=np.zeros_like(probs[1:]), where=total > 0)
    return np.clip(scores, 0, 1)


class BackgroundRefiner(ThresholdRule, BaseRefiner):
    """A refiner whose first step is to tell where background is likely.

    ``bg_threshold`` may be the name of a rule, such as ``'otsu'``, that
    chooses it from the scores of all images: see
    :class:`group_wsss.pseudo_labels.LabelDump`, or call :meth:`fit`.
    """

    def set_background(self,
                       bg_threshold: Union[float, str],
                       bg_power: Optional[float] = None) -> None:
        """Check and keep the two options.

        Args:
            bg_threshold (float | str): As in :func:`add_background`, or a
                rule.
            bg_power (float, optional): As in :func:`add_background`.
        """
        check_options(
            type(self).__name__,
            bg_threshold=(bg_threshold, bg_threshold not in (0, 1),
                          f'in (0, 1) or one of {sorted(THRESHOLDS)}'),
            bg_power=(bg_power, bg_power is None or bg_power > 0, '> 0'))
        self.set_threshold(bg_threshold)
        self.bg_power = bg_power
        if bg_power is not None:  # nothing to wait for
            self.rule = None

    def probabilities(self, maps: np.ndarray) -> np.ndarray:
        """:func:`add_background` to maps, by these options."""
        if self.bg_power is not None:
            return add_background(maps, bg_power=self.bg_power)
        return add_background(maps, self.need_threshold())
