# Copyright (c) group_wsss contributors. All rights reserved.
"""One closed line around a region that may have holes."""
import cv2
import numpy as np


def region_polygon(mask: np.ndarray) -> np.ndarray:
    """The polygon that ``cv2.fillPoly`` fills with just this region.

    Vertices are pixels of the region's border. The line goes into each hole
    along a row of the region and the same way back, so that holes stay
    holes: even-odd filling counts both ways.

    Args:
        mask (np.ndarray): bool ``(H, W)``, one 8-connected region.

    Returns:
        np.ndarray: int32 ``(n, 2)`` columns and rows; ``n >= 3``, a vertex
        is repeated where fewer would do.
    """
    contours, hierarchy = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    contours = [contour.reshape(-1, 2) for contour in contours]
    parents = hierarchy[0, :, 3]
    line = contours[int(np.flatnonzero(parents < 0)[0])]
    # rolled so that each begins at its leftmost pixel
    holes = []
    for i in np.flatnonzero(parents >= 0):
        start = np.lexsort(contours[i].T[::-1])[0]
        holes.append(np.roll(contours[i], -start, axis=0))
    # Going left from a hole's leftmost pixel, the region ends at the outer
    # border or at a hole that begins further left: one that is in the line.
    for hole in sorted(holes, key=lambda hole: tuple(hole[0])):
        x, y = hole[0]
        near = np.flatnonzero((line[:, 1] == y) & (line[:, 0] <= x))
        i = near[line[near, 0].argmax()]
        line = np.concatenate([line[:i + 1], hole, hole[:1], line[i:]])
    line = _straighten(line)
    missing = max(3 - len(line), 0)
    return np.concatenate([line, line[-1:].repeat(missing, axis=0)])


def _straighten(line: np.ndarray) -> np.ndarray:
    """Leave out vertices where a closed line does not turn."""
    line = line[(line != np.roll(line, 1, axis=0)).any(axis=1)
                | (len(line) == 1)]
    # steps are horizontal, vertical or diagonal, so their signs tell all
    step = np.sign(np.roll(line, -1, axis=0) - line)
    return line[(step != np.roll(step, 1, axis=0)).any(axis=1)
                | (len(line) < 3)]
