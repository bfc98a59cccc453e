# Copyright (c) group_wsss contributors. All rights reserved.
"""Which cells are neighbours, and where both ends of a pair are."""
from typing import Sequence, Tuple

Offset = Tuple[int, int]
Window = Tuple[slice, slice]


def pair_offsets(radius: float) -> Tuple[Offset, ...]:
    """Steps from a cell to its neighbours, one of each two opposite ones.

    Args:
        radius (float): Neighbours are less than so many cells away; 5 gives
            34 steps, 2 gives 4.

    Returns:
        tuple[tuple[int, int]]: Rows down, columns to the right; first the
        neighbours of the same row.
    """
    reach = range(-int(radius), int(radius) + 1)
    return tuple((dy, dx) for dy in reach for dx in reach
                 if (dy, dx) > (0, 0) and dy * dy + dx * dx < radius * radius)


def pair_windows(size: Sequence[int], offset: Offset) -> Tuple[Window, Window]:
    """All pairs of an offset as two windows of equal size.

    Args:
        size (Sequence[int]): Height and width of the map.
        offset (tuple[int, int]): From the first cell of a pair to the
            second.

    Returns:
        tuple: ``maps[..., *first]`` and ``maps[..., *second]`` are the first
        and the second cell of every pair; empty if the map is too small.
    """
    first, second = zip(*(_ends(n, d) for n, d in zip(size, offset)))
    return first, second


def _ends(length: int, step: int) -> Tuple[slice, slice]:
    count = max(length - abs(step), 0)
    first, second = max(-step, 0), max(step, 0)
    return slice(first, first + count), slice(second, second + count)
