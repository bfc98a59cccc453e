# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Union

import numpy as np

from ...utils.errors import InputError
from ..thresholds import THRESHOLDS, ThresholdRule
from .background import add_background
from .base import BaseRefiner


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
            bg_threshold (float | str): Score at which a class and background
                are equally likely, in (0, 1), or a rule.
            bg_power (float, optional): Background is ``(1 - max_c s_c) **
                bg_power`` instead. Defaults to None.

        Raises:
            InputError: One of them has a value that it cannot have.
        """
        name = type(self).__name__
        if bg_threshold in (0, 1):
            raise InputError(f'bg_threshold of {name} is {bg_threshold}, must '
                             f'be in (0, 1) or one of {sorted(THRESHOLDS)}')
        self.set_threshold(bg_threshold)
        if bg_power is not None and not bg_power > 0:
            raise InputError(f'bg_power of {name} is {bg_power}, must be > 0')
        self.bg_power = bg_power
        if bg_power is not None:  # nothing to wait for
            self.rule = None

    def probabilities(self, maps: np.ndarray) -> np.ndarray:
        """Probabilities of background and of each class.

        Args:
            maps (np.ndarray): float32 ``(n, h, w)`` in [0, 1].

        Returns:
            np.ndarray: float32 ``(n + 1, h, w)``, see
            :func:`add_background`.
        """
        if self.bg_power is not None:
            return add_background(maps, bg_power=self.bg_power)
        return add_background(maps, self.need_threshold())
