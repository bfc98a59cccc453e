# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.pseudo_labels.thresholds import (IMAGE_WEIGHT, NUM_BINS, otsu,
                                                 score_histogram)
from group_wsss.structures import ScoreMap


def _score_map(maps, size=None):
    maps = np.asarray(maps, dtype=np.float32)
    return ScoreMap('x', size or maps.shape[1:], range(len(maps)), maps)


def test_histogram_against_loops():
    rng = np.random.default_rng(0)
    # edges of bins, both ends of the scale and anything between
    maps = rng.choice([0, 1, 1 / 256, 3 / 256, .5, .123, .999, 200 / 256],
                      (3, 5, 7))
    expected = np.zeros(NUM_BINS, dtype=np.int64)
    for y in range(5):
        for x in range(7):
            best = float(np.float32(max(maps[c, y, x] for c in range(3))))
            # score > k / 256 if and only if its bin is k or later
            expected[sum(best > k / 256 for k in range(1, 256))] += 1
    got = score_histogram(_score_map(maps))
    np.testing.assert_array_equal(got, expected * IMAGE_WEIGHT // 35)
    assert got.dtype == np.int64


def test_every_image_weighs_the_same():
    small = score_histogram(_score_map(np.full((1, 2, 2), .3)))
    large = score_histogram(_score_map(np.full((2, 40, 30), .3)))
    assert small.sum() == large.sum() == IMAGE_WEIGHT
    np.testing.assert_array_equal(small, large)
    # the size of the image is none of its business
    stretched = _score_map(np.full((1, 2, 2), .3), (50, 60))
    np.testing.assert_array_equal(score_histogram(stretched), small)
    assert not score_histogram(_score_map(np.zeros((0, 3, 3)))).any()


def _by_loops(histogram):
    """All thresholds, by the two means of Otsu's paper."""
    spreads = []
    centers = [(k + .5) / NUM_BINS for k in range(NUM_BINS)]
    for k in range(1, NUM_BINS):
        low, high = histogram[:k], histogram[k:]
        if low.sum() == 0 or high.sum() == 0:
            spreads.append(0.)
            continue
        below = sum(c * n for c, n in zip(centers, low)) / low.sum()
        above = sum(c * n for c, n in zip(centers[k:], high)) / high.sum()
        share = low.sum() / histogram.sum()
        spreads.append(share * (1 - share) * (above - below)**2)
    return np.array(spreads)


@pytest.mark.parametrize('seed', range(4))
def test_otsu_against_loops(seed):
    rng = np.random.default_rng(seed)
    scores = np.concatenate([
        rng.beta(1.5, 12, 3000 * (seed + 1)),
        rng.beta(8, 5, 900),
    ]).astype(np.float32)
    histogram = score_histogram(_score_map(scores.reshape(1, 30, -1)))
    spreads = _by_loops(histogram)
    assert otsu(histogram) == (spreads.argmax() + 1) / NUM_BINS
    assert .1 < otsu(histogram) < .6


def test_otsu_takes_the_middle_of_a_gap():
    histogram = np.zeros(NUM_BINS, dtype=np.int64)
    histogram[[10, 99]] = 7, 3
    assert otsu(histogram) == (11 + 99) / 2 / NUM_BINS


@pytest.mark.parametrize('bins', ((), (0, ), (255, ), (17, )))
def test_otsu_of_nothing_to_part(bins):
    histogram = np.zeros(NUM_BINS, dtype=np.int64)
    histogram[list(bins)] = 5
    assert otsu(histogram) == .5
