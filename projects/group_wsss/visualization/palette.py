# Copyright (c) group_wsss contributors. All rights reserved.
"""Colours of classes in pictures for people."""
import colorsys
from typing import Any, Optional, Sequence

import numpy as np

from ..structures.label_image import voc_palette

# steps of the golden ratio never come near an earlier hue; saturation and
# value alternate, so that neighbours in hue differ in them
_GOLDEN = 0.6180339887
_TONES = ((0.85, 1.0), (1.0, 0.78), (0.5, 1.0))


def bright_palette() -> np.ndarray:
    """Colours that are far from black, from gray and from each other.

    VOC's first colours are dark: red, green and blue at half their value,
    hard to see over an image.

    Returns:
        np.ndarray: uint8 ``(256, 3)``, RGB: 0 black, then one for each class.
    """
    colours = np.zeros((256, 3), dtype=np.uint8)
    for i in range(255):
        tone = _TONES[i % len(_TONES)]
        rgb = colorsys.hsv_to_rgb((0.98 + i * _GOLDEN) % 1, *tone)
        colours[i + 1] = np.round(255 * np.array(rgb))
    return colours


def class_colours(classes: Sequence[str],
                  palette: Optional[Sequence] = None) -> Any:
    """Colours to paint the labels of some classes in.

    Args:
        classes (Sequence[str]): Names, without background.
        palette (Sequence, optional): RGB by label value, which a config has
            chosen. Defaults to None: VOC's for the classes of VOC, else
            those of :func:`bright_palette`.

    Returns:
        Sequence: RGB by label value.
    """
    if palette is not None:
        return palette
    # slow to import, and not all who draw need it
    from ..datasets.voc import VOC_CLASSES
    if tuple(classes) == tuple(VOC_CLASSES):
        return voc_palette()
    return bright_palette()
