# Copyright (c) group_wsss contributors. All rights reserved.
"""Colours of label images."""
import numpy as np


def voc_palette(num_colors: int = 256) -> np.ndarray:
    """The colour map of PASCAL VOC's index PNGs.

    Bit ``3 * i + c`` of the index is bit ``7 - i`` of channel ``c``, as in
    the VOC development kit; index 255 is the off-white of its borders.

    Args:
        num_colors (int): The first so many, the background included.
            Defaults to 256.

    Returns:
        np.ndarray: uint8 ``(num_colors, 3)``, RGB.
    """
    index = np.arange(num_colors)
    palette = np.zeros((num_colors, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            value = (index >> (3 * bit + channel)) & 1
            palette[:, channel] |= (value << (7 - bit)).astype(np.uint8)
    return palette
