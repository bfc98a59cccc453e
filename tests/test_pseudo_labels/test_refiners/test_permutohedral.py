# Copyright (c) group_wsss contributors. All rights reserved.
import itertools

import numpy as np
import pytest
import torch

from group_wsss.pseudo_labels.refiners.crf.permutohedral import \
    PermutohedralLattice


def _simplex(feature):
    """Corners (rows) and barycentric weights, by search and by a solve."""
    d = len(feature)
    matrix = np.zeros((d + 1, d))
    for j in range(d):  # orthogonal columns of zero sum
        matrix[:j + 1, j] = 1
        matrix[j + 1, j] = -(j + 1)
        matrix[:, j] /= np.sqrt((j + 1) * (j + 2))
    point = matrix @ feature * (d + 1) * np.sqrt(2 / 3)
    best = None
    for ups in itertools.product((0, 1), repeat=d + 1):
        origin = (np.floor(point / (d + 1)) + ups) * (d + 1)
        length = np.sum((point - origin)**2)
        if origin.sum() == 0 and (best is None or length < best[0]):
            best = length, origin
    origin = best[1]
    order = np.argsort(origin - point, kind='stable')  # the largest first
    corners = []
    for k in range(d + 1):
        corner = origin + k
        corner[order[d + 1 - k:]] -= d + 1
        corners.append(corner)
    corners = np.array(corners)
    system = np.vstack([corners.T[:d], np.ones(d + 1)])
    return corners, np.linalg.solve(system, np.append(point[:d], 1))


def _by_loops(features, values):
    """Splat, blur and slice with dictionaries."""
    d, n = features.shape
    places = [_simplex(features[:, i]) for i in range(n)]
    table = {}
    for (corners, weights), value in zip(places, values):
        for corner, weight in zip(corners, weights):
            key = tuple(int(x) for x in corner)
            table[key] = table.get(key, 0) + weight * value
    for j in range(d + 1):
        blurred = {}
        for key, value in table.items():
            blurred[key] = value.copy()
            for sign in (-1, 1):
                other = [x + sign for x in key]
                other[j] -= sign * (d + 1)
                if tuple(other) in table:
                    blurred[key] += table[tuple(other)] / 2
        table = blurred
    return np.array([
        sum(w * table[tuple(int(x) for x in c)] for c, w in zip(*place))
        for place in places
    ]) / (1 + 2.0**-d), len(table)


def _compare(features, values):
    lattice = PermutohedralLattice(torch.from_numpy(features))
    expected, vertices = _by_loops(features, values)
    assert lattice.num_vertices == vertices
    np.testing.assert_allclose(
        lattice.filter(torch.from_numpy(values)), expected, atol=1e-9)


@pytest.mark.parametrize('dims, spread', [(1, 4), (2, 3), (3, 2), (5, 0.5),
                                          (5, 3)])
def test_against_loops(dims, spread):
    rng = np.random.default_rng(dims)
    features = rng.normal(0, spread, (dims, 120))
    features[:, 60:90] = features[:, :30]  # simplices of several points
    features[:, 90:] = features[:, :30] + 0.01
    _compare(features, rng.normal(size=(120, 3)))


@pytest.mark.parametrize('seed', range(20))
def test_few_points_close_together(seed):
    """Their corners reach beyond the box of the points: keys stay apart."""
    rng = np.random.default_rng(seed)
    _compare(rng.normal(0, 0.4, (2, 5)), rng.normal(size=(5, 1)))


@pytest.mark.parametrize('shift', [-500, 300])
def test_points_far_from_the_origin(shift):
    """Keys depend on differences alone; negative coordinates are fine."""
    rng = np.random.default_rng(0)
    _compare(rng.normal(shift, 2, (2, 60)), rng.normal(size=(60, 1)))


@pytest.mark.parametrize('sxy', [2.0, 4.0])
def test_is_nearly_a_gaussian(sxy):
    rows, columns = np.mgrid[:24, :24] / sxy
    features = np.stack([rows.ravel(), columns.ravel()])
    square = ((features[:, :, None] - features[:, None])**2).sum(axis=0)
    exact = np.exp(-square / 2)
    values = np.random.default_rng(0).random((576, 2))
    lattice = PermutohedralLattice(torch.from_numpy(features))
    both = torch.from_numpy(np.concatenate([values, np.ones((576, 1))], 1))
    got = lattice.filter(both).numpy()
    expected = exact @ both.numpy()
    got = got[:, :2] / got[:, 2:]
    expected = expected[:, :2] / expected[:, 2:]
    spread = expected.std()
    assert abs(got - expected).max() < 0.6 * spread
    assert abs(got - expected).mean() < 0.12 * spread


def test_one_point_and_equal_points():
    for count in (1, 50):
        features = torch.full((5, count), 3.3)
        lattice = PermutohedralLattice(features)
        assert lattice.num_vertices == 6
        got = lattice.filter(torch.ones(count, 2))
        one = PermutohedralLattice(features[:, :1]).filter(torch.ones(1, 1))
        torch.testing.assert_close(got, count * one.expand(count, 2))


@pytest.mark.parametrize('width', [1e5, 1e9])
def test_too_wide_is_refused(width):
    wide = torch.zeros(5, 2)
    wide[:, 1] = width
    with pytest.raises(ValueError, match='standard deviations'):
        PermutohedralLattice(wide)
