# Copyright (c) group_wsss contributors. All rights reserved.
import math

import numpy as np

from group_wsss.pseudo_labels import AttentionWalk
from group_wsss.pseudo_labels.refiners import attention_walk as module
from group_wsss.pseudo_labels.refiners.attention_walk import (attention_walk,
                                                              feature_affinity,
                                                              fewer_cells)

IMAGE = np.random.default_rng(3).integers(0, 256, (64, 48, 3), np.uint8)


def test_affinity_against_loops():
    features = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(
        np.float32) + .4
    flat = features.reshape(3, 8).T
    cosines = [[a @ b / math.sqrt((a @ a) * (b @ b)) for b in flat]
               for a in flat]
    mean = np.mean(cosines)
    got = feature_affinity(features, 1.1, 2.)
    assert 0 < (got == 0).sum() < 56  # some are unlike, not all
    for p in range(8):
        weights = [
            math.exp(2. * (c - 1.1 * mean)) if c >= 1.1 * mean or p == q else 0
            for q, c in enumerate(cosines[p])
        ]
        np.testing.assert_allclose(
            got[p], np.array(weights) / sum(weights), rtol=1e-4)
    # where all is alike nothing exceeds the mean, and where all is 0
    for value in (0, 1):
        same = feature_affinity(np.full((3, 2, 2), value, np.float32))
        assert np.isfinite(same).all() and (same.diagonal() > 0).all()


def test_walk_against_loops():
    rng = np.random.default_rng(1)
    maps = rng.random((2, 3, 5), dtype=np.float32)
    weights = rng.random((15, 15), dtype=np.float32) + .1
    d = weights.astype(float)
    for _ in range(3):
        for q in range(15):
            d[:, q] /= d[:, q].sum()
        for p in range(15):
            d[p] /= d[p].sum()
    np.testing.assert_allclose(d.sum(0), 1, atol=1e-3)
    d = (d + d.T) / 2
    got = attention_walk(maps, weights)
    for one, walked in zip(maps, got):
        want = np.linalg.matrix_power(d, 2) @ one.ravel()
        np.testing.assert_allclose(walked.ravel(), want, rtol=1e-4)
    # one round is another matrix, and only strong boxes are read
    assert np.abs(attention_walk(maps, weights, 1) - got).max() > 1e-6
    one = np.zeros((1, 4, 8), np.float32)
    one[0, [0, 1, 3], [0, 1, 7]] = 1, .7, .6
    one[0, 0, 1], one[0, 3, 0] = .2, .3  # inside of a box, outside of all
    got = attention_walk(one, np.eye(32, dtype=np.float32), 3, .5)
    one[0, 3, 0] = 0
    np.testing.assert_allclose(got, one)


def test_too_many_cells_are_averaged():
    features = np.random.default_rng(0).random((2, 6, 8), dtype=np.float32)
    assert fewer_cells(features, 48) is features
    want = features.reshape(2, 3, 2, 4, 2).mean((2, 4))
    np.testing.assert_allclose(fewer_cells(features, 12), want, rtol=1e-5)
    for most in (1, 2, 5):
        assert fewer_cells(features[:, :1], most)[0].size <= most
        assert fewer_cells(features[:, :, :1], most)[0].size <= most
        assert fewer_cells(features, most)[0].size <= most


def test_refines_with_the_backbone_of_stage_1(stage1):
    refiner = AttentionWalk(*stage1[:2], device='cpu', shift=1.)
    maps = np.random.default_rng(0).random((3, 9, 7), dtype=np.float32) * .6
    maps[2] = 0
    got = refiner.refine(maps, IMAGE)
    features = refiner.features(IMAGE)
    assert got.shape == (3, *features.shape[1:])
    small = module.resize_maps(maps, features.shape[1:])
    want = attention_walk(small, feature_affinity(features, 1.))
    for place in range(2):  # peaks are those of before
        np.testing.assert_allclose(
            got[place],
            want[place] / want[place].max() * small[place].max(),
            rtol=1e-5)
    assert not got[2].any()
    refiner.max_cells = 4
    assert refiner.refine(maps, IMAGE).shape == (3, 2, 2)
