# Copyright (c) group_wsss contributors. All rights reserved.
"""Connected regions of a label image."""
from typing import List, Tuple

import numpy as np
from scipy import ndimage

from ...structures.label_image import IGNORE_INDEX

# pixels that share an edge, and those that share an edge or a corner
_NEIGHBOURS = {
    4: ndimage.generate_binary_structure(2, 1),
    8: ndimage.generate_binary_structure(2, 2)
}
CONNECTIVITIES = tuple(_NEIGHBOURS)


def connected_regions(label: np.ndarray,
                      connectivity: int = 8) -> Tuple[np.ndarray, List[int]]:
    """Number the connected components of every class.

    Args:
        label (np.ndarray): uint8 ``(H, W)``; background 0 and unknown pixels
            (255) belong to no component.
        connectivity (int): 4 (pixels that share an edge are connected) or 8
            (also those that share a corner). Defaults to 8.

    Returns:
        tuple[np.ndarray, list[int]]: int32 ``(H, W)``, 0 or the number of
        the component, and the label of components 1, 2, ...: ascending, and
        within a label in the order of their first pixel, row by row.
    """
    regions = np.zeros(label.shape, dtype=np.int32)
    labels: List[int] = []
    # the box around a class: the rest of the image need not be searched
    boxes = ndimage.find_objects(np.where(label == IGNORE_INDEX, 0, label))
    for value, box in enumerate(boxes, 1):
        if box is None:
            continue
        found, count = ndimage.label(label[box] == value,
                                     _NEIGHBOURS[connectivity])
        inside = found > 0
        regions[box][inside] = found[inside] + len(labels)
        labels += [value] * count
    return regions, labels
