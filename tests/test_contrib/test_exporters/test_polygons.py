# Copyright (c) group_wsss contributors. All rights reserved.
import cv2
import numpy as np
import pytest
from scipy import ndimage

from group_wsss.contrib.exporters.polygons import region_polygon
from group_wsss.contrib.exporters.regions import connected_regions


def fill(line, shape):
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.asarray(line, np.int32)], 1)
    return canvas.astype(bool)


def test_boxes():
    for y, x, height, width in ((2, 3, 4, 5), (0, 0, 9, 11), (8, 10, 1, 1),
                                (4, 0, 1, 11), (0, 5, 9, 1), (1, 1, 2, 2)):
        mask = np.zeros((9, 11), bool)
        mask[y:y + height, x:x + width] = True
        line = region_polygon(mask)
        np.testing.assert_array_equal(fill(line, mask.shape), mask)
        corners = {(a, b)
                   for a in (x, x + width - 1)
                   for b in (y, y + height - 1)}
        assert set(map(tuple, line.tolist())) == corners
        assert len(line) == max(len(corners), 3)


def test_hole_inside_hole_and_many_holes():
    mask = np.ones((21, 30), bool)
    mask[3:18, 4:26] = False
    mask[5:16, 6:24] = True  # an island, no part of the region
    assert ndimage.label(mask)[1] == 2
    ring = ndimage.label(mask)[0] == 1
    np.testing.assert_array_equal(fill(region_polygon(ring), mask.shape), ring)
    sieve = np.ones((21, 30), bool)
    sieve[2:-1:3, 1:-1:2] = False
    sieve[4, 4:9] = sieve[10, 3:28] = False
    np.testing.assert_array_equal(
        fill(region_polygon(sieve), mask.shape), sieve)


@pytest.mark.parametrize('sigma', (0, 1, 2, 4))
def test_random_regions(sigma):
    rng = np.random.default_rng(sigma)
    holes = regions = 0
    for _ in range(8):
        field = ndimage.gaussian_filter(rng.random((60, 70)), sigma)
        label = (field > np.quantile(field, .4)).astype(np.uint8)
        index, labels = connected_regions(label, 8)
        for number in range(1, len(labels) + 1):
            mask = index == number
            holes += ndimage.label(~mask)[1] - 1
            regions += 1
            np.testing.assert_array_equal(
                fill(region_polygon(mask), mask.shape), mask)
    assert holes > 15 and regions > 8
