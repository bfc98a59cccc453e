# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
import torch

from group_wsss.pseudo_labels.refiners.crf.gaussian_filter import \
    gaussian_filter


@pytest.mark.parametrize('size, sxy', [((7, 9), 3.0), ((14, 5), 1.0),
                                       ((1, 1), 3.0), ((1, 12), 0.7),
                                       ((6, 4), 50.0)])
def test_against_loops(size, sxy):
    maps = np.random.default_rng(0).random((2, *size), np.float32)
    expected = np.zeros(maps.shape)
    for y, x in np.ndindex(*size):
        for v, u in np.ndindex(*size):
            weight = np.exp(-((y - v)**2 + (x - u)**2) / (2 * sxy**2))
            expected[:, y, x] += weight * maps[:, v, u]
    given = torch.from_numpy(maps.copy())
    got = gaussian_filter(given, sxy).numpy()
    # weights below 4e-4 are left out
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-3)
    np.testing.assert_array_equal(given, maps)
