# Copyright (c) group_wsss contributors. All rights reserved.
"""Colours of classes in label images and pictures."""
import colorsys
import functools
from typing import Optional, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .label_image import IGNORE_INDEX, voc_palette

VOC_CLASSES = ('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car',
               'cat', 'chair', 'cow', 'diningtable', 'dog', 'horse',
               'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train',
               'tvmonitor')

# steps of the golden ratio never come near an earlier hue; saturation and
# value alternate, so that neighbours in hue differ in them
_GOLDEN = 0.6180339887
_TONES = ((0.85, 1.0), (1.0, 0.78), (0.5, 1.0))


@functools.lru_cache(maxsize=None)
def bright_palette() -> np.ndarray:
    """Colours that are far from black, from gray and from each other.

    VOC's first colours are dark: red, green and blue at half their value,
    hard to see over an image.

    Returns:
        np.ndarray: uint8 ``(256, 3)``, RGB: 0 black, then one for each class;
        255 is VOC's off-white. Made once, not to be changed.
    """
    colours = voc_palette()
    for i in range(IGNORE_INDEX - 1):
        tone = _TONES[i % len(_TONES)]
        rgb = colorsys.hsv_to_rgb((0.98 + i * _GOLDEN) % 1, *tone)
        colours[i + 1] = np.round(255 * np.array(rgb))
    colours.setflags(write=False)
    return colours


def palette_of(classes: Sequence[str],
               palette: Optional[ArrayLike] = None) -> np.ndarray:
    """Colours of the labels of some classes.

    Args:
        classes (Sequence[str]): Names, without background.
        palette (Sequence, optional): RGB of the first labels, which somebody
            has chosen. Defaults to none.

    Returns:
        np.ndarray: uint8 ``(256, 3)``, RGB: ``palette``; where it ends VOC's
        for the classes of VOC, for others those of :func:`bright_palette`.
    """
    voc = tuple(classes) == VOC_CLASSES
    colours = voc_palette() if voc else bright_palette().copy()
    if palette is not None:
        given = np.asarray(palette, dtype=np.uint8).reshape(-1, 3)
        colours[:len(given)] = given
    return colours
