# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.evaluation import boundary_band, boundary_counts


def _blocks(rng, shape, values):
    """Random regions of a few pixels' width."""
    small = rng.choice(values, (shape[0] // 3 + 1, shape[1] // 3 + 1))
    return small.repeat(3, 0).repeat(3,
                                     1)[:shape[0], :shape[1]].astype(np.uint8)


def _near(region, distance):
    """Pixels of a region by their distance to all that is not in it."""
    outside = np.argwhere(~np.pad(region, 1)) - 1
    near = np.zeros_like(region)
    for y, x in np.argwhere(region):
        gap = np.abs(outside - (y, x)).max(axis=1).min()
        near[y, x] = gap <= distance
    return near


@pytest.mark.parametrize('distance', (1, 2, 4, 30))
def test_band_against_all_distances(distance):
    label = _blocks(np.random.default_rng(distance), (17, 23), [0, 1, 2, 255])
    label[4:13, 5:18] = 1
    expected = np.zeros(label.shape, bool)
    for value in np.unique(label):
        expected |= _near(label == value, distance)
    np.testing.assert_array_equal(boundary_band(label, distance), expected)
    if distance == 1:
        assert not expected.all()


@pytest.mark.parametrize('seed', range(4))
def test_counts_against_all_distances(seed):
    rng = np.random.default_rng(seed)
    shape = (24, 32)  # diagonal 40
    pred = _blocks(rng, shape, [0, 0, 1, 2, 255])
    mask = np.where(rng.random(shape) < .9, pred, 2).astype(np.uint8)
    mask[2:14, 3:20] = 1
    mask[16:20, 5:25] = 255
    both, either = boundary_counts(pred, mask, 4, dilation_ratio=.05)
    valid = mask != 255
    for i in range(4):
        truth = np.where(valid, mask, pred) == i
        a, b = _near(truth, 2) & valid, _near(pred == i, 2) & valid
        assert both[i] == (a & b).sum() and either[i] == (a | b).sum()
    assert both[:3].all() and (both < either)[:3].any()
    assert both[3] == either[3] == 0


def test_distance_is_a_share_of_the_diagonal():
    # 3-4-5 triangle: the diagonal is 200, 2 % are 4 pixels
    mask = np.zeros((120, 160), np.uint8)
    both, either = boundary_counts(mask, mask, 1)
    assert both[0] == either[0] == 120 * 160 - 112 * 152
    # at least one pixel
    both, _ = boundary_counts(mask[:5, :5], mask[:5, :5], 1)
    assert both[0] == 25 - 9


def test_what_the_mask_ignores_costs_nothing():
    mask = np.zeros((40, 40), np.uint8)
    mask[5:35, 5:35] = 1
    pred = mask.copy()
    # within class 1, and across contours
    mask[18:22, 18:22] = mask[7:12, 2:30] = 255
    both, either = boundary_counts(pred, mask, 2, .05)
    np.testing.assert_array_equal(both, either)
    assert both.all() and both.sum() < (mask < 255).sum()
