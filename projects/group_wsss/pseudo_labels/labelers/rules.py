# Copyright (c) group_wsss contributors. All rights reserved.
"""Rules that several labelers share; each works on the label in place."""
from typing import Iterable, Optional

import numpy as np

from ...structures.label_image import IGNORE_INDEX
from ..options import check_options


def mark_conflicts(label: np.ndarray, scores: Iterable[np.ndarray],
                   threshold: Optional[float]) -> None:
    """Pixels where more than one score is above ``threshold`` are unknown.

    Args:
        label (np.ndarray): uint8 ``(H, W)``, changed in place.
        scores (Iterable[np.ndarray]): float32 ``(H, W)`` each.
        threshold (float, optional): None switches the rule off.
    """
    if threshold is not None:
        count = np.zeros(label.shape, dtype=np.uint8)
        for one in scores:
            count += one > np.float32(threshold)
        label[count > 1] = IGNORE_INDEX


def blank_without_foreground(label: np.ndarray, min_foreground: float) -> None:
    """An image with too little foreground is unknown as a whole.

    Args:
        label (np.ndarray): uint8 ``(H, W)``, changed in place.
        min_foreground (float): Share of the image's pixels; less
            foreground (unknown pixels are none) blanks the image. 0
            switches the rule off.
    """
    foreground = np.count_nonzero((label > 0) & (label < IGNORE_INDEX))
    if foreground / label.size < min_foreground:
        label[...] = IGNORE_INDEX


def check_shares(owner: str, **shares: Optional[float]) -> None:
    """Refuse thresholds and shares that do not lie in [0, 1]."""
    check_options(
        owner, **{
            name: (value, value is None or 0 <= value <= 1, 'in [0, 1]')
            for name, value in shares.items()
        })
