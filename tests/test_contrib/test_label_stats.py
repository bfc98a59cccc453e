# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np

from group_wsss.contrib.analysis import label_stats


def _flood(label):
    """Sizes of the connected regions of each value, by walking them."""
    sizes, left = {}, {tuple(cell) for cell in np.argwhere(label >= 0)}
    while left:
        start = left.pop()
        value, stack, size = label[start], [start], 0
        while stack:
            y, x = stack.pop()
            size += 1
            for cell in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if cell in left and label[cell] == value:
                    left.remove(cell)
                    stack.append(cell)
        sizes.setdefault(int(value), []).append(size)
    return sizes


def test_against_a_flood_fill():
    rng = np.random.default_rng(0)
    label = rng.choice([0, 1, 2, 4, 255], (50, 60)).astype(np.uint8)
    label[10:30, 20:40] = 2
    stats = label_stats(label, 6)
    sizes = _flood(label)
    assert stats.pixels.tolist() == [
        int((label == value).sum()) for value in (0, 1, 2, 3, 4, 5, 255)
    ]
    for i in range(1, 6):
        assert stats.components[i] == len(sizes.get(i, []))
        # below a thousandth of 3000 pixels
        small = sum(size < 3 for size in sizes.get(i, []))
        assert stats.specks[i] == small
    assert stats.components[0] == stats.specks[0] == 0
    assert 0 < stats.specks[2] < stats.components[2]


def test_corners_do_not_connect():
    stats = label_stats(np.eye(3, dtype=np.uint8), 2)
    assert stats.components.tolist() == [0, 3]
    assert stats.specks.tolist() == [0, 0]


def test_nothing_but_unknown():
    stats = label_stats(np.full((4, 5), 255, np.uint8), 3)
    assert stats.pixels.tolist() == [0, 0, 0, 20]
    assert not stats.components.any()
