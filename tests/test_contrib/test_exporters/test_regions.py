# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.contrib.exporters.regions import connected_regions


@pytest.mark.parametrize('connectivity', (4, 8))
def test_components_against_a_flood_fill(source, connectivity, flood_fill):
    total = 0
    for img_id in source.ids:
        label = source.read_label(img_id)
        index, labels = connected_regions(label, connectivity)
        wanted = flood_fill(label, connectivity)
        assert labels == [value for value, _ in wanted]
        for number, (_, pixels) in enumerate(wanted, 1):
            assert set(
                zip(*map(np.ndarray.tolist, np.nonzero(
                    index == number)))) == pixels
        assert index.max() == len(wanted)
        total += len(wanted)
    assert total > 100


def test_diagonal_pixels():
    label = np.array([[1, 0], [0, 1]], np.uint8)
    assert connected_regions(label, 8)[1] == [1]
    assert connected_regions(label, 4)[1] == [1, 1]


def test_no_region():
    index, labels = connected_regions(np.full((3, 4), 255, np.uint8))
    assert labels == [] and not index.any()
