# Copyright (c) group_wsss contributors. All rights reserved.
"""Regions of a label image: which pixels, which box, which runs."""
from typing import Dict, List, NamedTuple, Tuple

import numpy as np
from scipy import ndimage

from ...structures.label_image import IGNORE_INDEX

# pixels that share an edge, and those that share an edge or a corner
_NEIGHBOURS = {
    4: ndimage.generate_binary_structure(2, 1),
    8: ndimage.generate_binary_structure(2, 2)
}
CONNECTIVITIES = tuple(_NEIGHBOURS)


class Region(NamedTuple):
    """Pixels of one number, in the terms of COCO."""
    box: Tuple[int, int, int, int]  # left, top, width, height in pixels
    area: int  # pixels
    # lengths of runs in column order, the first one outside; (n, )
    counts: np.ndarray


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


def region_runs(index: np.ndarray) -> Dict[int, Region]:
    """Box, area and runs of every number in an image, in one pass.

    Runs are those of COCO's RLE: the pixels are taken column by column, and
    the lengths tell in turn how many are outside and inside.

    Args:
        index (np.ndarray): Integers ``(H, W)``, none negative; 0 is no region.

    Returns:
        dict[int, Region]: By number, ascending.
    """
    flat = index.ravel(order='F')
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, ends = np.append(0, changes), np.append(changes, flat.size)
    numbers = flat[starts]
    order = np.argsort(numbers, kind='stable')
    order = order[np.searchsorted(numbers[order], 1):]
    starts, ends, numbers = starts[order], ends[order], numbers[order]
    found, first = np.unique(numbers, return_index=True)
    regions = {}
    for number, low, high in zip(found.tolist(), first,
                                 np.append(first[1:], len(numbers))):
        begin, end = starts[low:high], ends[low:high]
        regions[number] = Region(
            _box(begin, end, index.shape[0]), int((end - begin).sum()),
            _counts(begin, end, flat.size))
    return regions


def _box(begin: np.ndarray, end: np.ndarray,
         height: int) -> Tuple[int, int, int, int]:
    """The box around runs ``begin <= i < end`` of a column-ordered image."""
    left, right = int(begin[0]) // height, int(end[-1] - 1) // height
    top, bottom = begin % height, (end - 1) % height
    # a run that goes on in the next column touches bottom and top
    if (begin // height != (end - 1) // height).any():
        return left, 0, right - left + 1, height
    low = int(top.min())
    return left, low, right - left + 1, int(bottom.max()) - low + 1


def _counts(begin: np.ndarray, end: np.ndarray, size: int) -> np.ndarray:
    """Lengths in turn outside and inside of the runs."""
    edges = np.stack([begin, end], axis=1).reshape(-1)
    counts = np.diff(edges, prepend=0)
    return counts if end[-1] == size else np.append(counts, size - end[-1])
