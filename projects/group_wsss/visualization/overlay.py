# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Sequence

import numpy as np

from ..structures.label_image import IGNORE_INDEX
from .contact_sheet import legend_strip
from .paint import colours_of

# of the legend, as if images beside it were so high
_SIDE = 176


def add_legend(painted: np.ndarray,
               label: np.ndarray,
               names: Sequence[str],
               palette: Optional[Sequence] = None) -> np.ndarray:
    """Name the classes of a painted label in a strip below it.

    Args:
        painted (np.ndarray): Of ``paint_label``, uint8 ``(H, W, 3)``.
        label (np.ndarray): uint8 ``(H, W)``; 255 is unknown.
        names (Sequence[str]): By label value, background first.
        palette (Sequence, optional): RGB by label value. Defaults to VOC's.

    Returns:
        np.ndarray: RGB uint8 ``(H + h, W, 3)``; ``painted`` itself where
        there is nothing but background.
    """
    colours = colours_of(palette)
    entries = [('unknown' if value == IGNORE_INDEX else names[value],
                colours[value]) for value in np.unique(label) if value]
    if not entries:
        return painted
    strip = legend_strip(entries, painted.shape[1], _SIDE)
    return np.concatenate([painted, np.asarray(strip)])
