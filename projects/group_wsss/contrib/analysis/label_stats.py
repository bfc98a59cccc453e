# Copyright (c) group_wsss contributors. All rights reserved.
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ...structures.label_image import IGNORE_INDEX

# a region smaller than this share of the image's pixels is a speck
SPECK = 0.001


class LabelStats(NamedTuple):
    """Counts of a label image by class; ``N`` with background."""
    pixels: np.ndarray  # (N + 1, ), the last one counts unknown pixels
    components: np.ndarray  # (N, ) connected regions, none of background
    specks: np.ndarray  # (N, ) those of them below SPECK of the image


def label_stats(label: np.ndarray, num_classes: int) -> LabelStats:
    """Pixels and connected regions of each class.

    Pixels are connected if they share an edge (4 neighbours).

    Args:
        label (np.ndarray): uint8 ``(H, W)``, 0..N-1 or 255 (unknown).
        num_classes (int): ``N``, background included.

    Returns:
        LabelStats: int64 counts.
    """
    pixels = np.bincount(label.reshape(-1), minlength=IGNORE_INDEX + 1)
    components = np.zeros(num_classes, dtype=np.int64)
    specks = np.zeros_like(components)
    # the box around a class: the rest of the image need not be searched
    boxes = ndimage.find_objects(np.where(label == IGNORE_INDEX, 0, label))
    for i, box in enumerate(boxes, 1):
        if box is not None:
            regions, components[i] = ndimage.label(label[box] == i)
            sizes = np.bincount(regions.reshape(-1))[1:]
            specks[i] = np.count_nonzero(sizes < SPECK * label.size)
    return LabelStats(
        np.append(pixels[:num_classes], pixels[IGNORE_INDEX]), components,
        specks)
