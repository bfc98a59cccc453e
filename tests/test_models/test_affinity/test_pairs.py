# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.utils.pairs import pair_offsets, pair_windows


@pytest.mark.parametrize('radius', [1, 1.5, 2, 5])
def test_offsets_are_half_of_the_disc(radius):
    offsets = pair_offsets(radius)
    disc = {(dy, dx)
            for dy in range(-9, 10)
            for dx in range(-9, 10) if 0 < (dy**2 + dx**2)**0.5 < radius}
    assert len(set(offsets)) == len(offsets)
    opposite = {(-dy, -dx) for dy, dx in offsets}
    assert not opposite & set(offsets)
    assert opposite | set(offsets) == disc


@pytest.mark.parametrize('size', [(1, 1), (1, 4), (3, 2), (6, 7)])
@pytest.mark.parametrize('offset', [(0, 1), (0, 3), (2, 0), (2, -1), (1, 4),
                                    (5, -5)])
def test_windows_name_every_pair_once(size, offset):
    cells = np.arange(size[0] * size[1]).reshape(size)
    first, second = pair_windows(size, offset)
    assert cells[first].shape == cells[second].shape
    got = set(zip(cells[first].ravel(), cells[second].ravel()))
    assert len(got) == cells[first].size
    wanted = set()
    for y in range(size[0]):
        for x in range(size[1]):
            other = y + offset[0], x + offset[1]
            if 0 <= other[0] < size[0] and 0 <= other[1] < size[1]:
                wanted.add((cells[y, x], cells[other]))
    assert got == wanted
