# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..structures.label_image import IGNORE_INDEX
from .contact_sheet import _PAPER, legend_strip, text_strip
from .paint import colours_of

# of the legend, as if images beside it were so high
_SIDE = 176
# what names need to be readable; a smaller image gets a blank margin
_MIN_WIDTH = 240


def add_legend(painted: np.ndarray,
               label: np.ndarray,
               names: Sequence[str],
               palette: Optional[ArrayLike] = None,
               tags: Sequence[str] = ()) -> np.ndarray:  # yapf: disable
    """Name the classes of a painted label, and its tags, in a strip below.

    Args:
        painted (np.ndarray): Of ``paint_label``, uint8 ``(H, W, 3)``.
        label (np.ndarray): uint8 ``(H, W)``; 255 is unknown.
        names (Sequence[str]): By label value, background first.
        palette (Sequence, optional): RGB by label value. Defaults to VOC's.
        tags (Sequence[str]): What the image is said to show. Defaults to
            nothing known.

    Returns:
        np.ndarray: RGB uint8 ``(H + h, max(W, 240), 3)``; ``painted`` itself
        where there is nothing but background and no tag.
    """
    colours = colours_of(palette)
    entries = [('unknown' if value == IGNORE_INDEX else names[value],
                colours[value]) for value in np.unique(label) if value]
    if not (entries or tags):
        return painted
    width = max(painted.shape[1], _MIN_WIDTH)
    image = np.full((len(painted), width, 3), _PAPER, dtype=np.uint8)
    image[:, :painted.shape[1]] = painted
    parts = [image]
    if tags:
        parts.append(np.asarray(text_strip('tags: ' + ', '.join(tags), width)))
    if entries:
        parts.append(np.asarray(legend_strip(entries, width, _SIDE)))
    return np.concatenate(parts)
