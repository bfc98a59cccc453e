# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from group_wsss.structures.resize_maps import resize_maps


@pytest.mark.parametrize('size', [(375, 500), (3, 700), (4, 5), (12, 16),
                                  (2, 3), (1, 1), (24, 32)])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_as_pytorch_does_it(size, dtype):
    maps = np.random.default_rng(0).random((3, 24, 32)).astype(dtype)
    want = F.interpolate(
        torch.from_numpy(maps)[None], size, mode='bilinear')[0].numpy()
    got = resize_maps(maps, size)
    assert got.dtype == np.float32 and got.shape == (3, *size)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_views_ends_and_nothing():
    maps = np.random.default_rng(0).random((6, 9, 8), np.float32)
    view = maps[::2, :, ::2].transpose(0, 2, 1)
    np.testing.assert_array_equal(
        resize_maps(view, (30, 20)), resize_maps(view.copy(), (30, 20)))
    ones = resize_maps(np.ones((2, 7, 3), np.float32), (333, 501))
    assert ones.max() <= 1 and ones.min() > 1 - 1e-6
    assert resize_maps(maps[:0], (5, 4)).shape == (0, 5, 4)
    # threads do not change a bit
    import cv2
    before = cv2.getNumThreads()
    many = resize_maps(maps, (1200, 1600))
    cv2.setNumThreads(1)
    np.testing.assert_array_equal(resize_maps(maps, (1200, 1600)), many)
    cv2.setNumThreads(before)
