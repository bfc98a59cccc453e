# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from group_wsss.models.layers import PixelAdaptiveRefinement
from group_wsss.pseudo_labels.refiners import add_background
from group_wsss.pseudo_labels.refiners.pixel_adaptive import PixelAdaptive


def _case(seed=0, n=2, shape=(9, 13), size=(20, 31)):
    rng = np.random.default_rng(seed)
    maps = rng.random((n, *shape), np.float32)
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    return maps, image


@pytest.mark.parametrize('options', [
    dict(),
    dict(dilations=(1, 3), num_iters=2, w1=.5, w2=.2),
    dict(distance='absolute', center=True, w1=.1, w2=0),
    dict(bg_threshold=.2),
    dict(bg_power=2.),
])
@pytest.mark.parametrize('downscale', [1, 2, 3])
def test_against_its_parts(options, downscale):
    maps, image = _case()
    before = maps.copy(), image.copy()
    got = PixelAdaptive(downscale=downscale, device='cpu', **options)
    got = got.refine(maps, image)
    np.testing.assert_array_equal(maps, before[0])
    np.testing.assert_array_equal(image, before[1])
    background = {
        key: options[key]
        for key in options if key.startswith('bg_')
    }
    rest = {key: options[key] for key in options if key not in background}
    size = (-(-20 // downscale), -(-31 // downscale))
    up = F.interpolate(
        torch.from_numpy(maps)[None],
        size=size,
        mode='bilinear',
        align_corners=False)[0].numpy()
    background = dict(dict(bg_threshold=.35), **background)
    probs = torch.from_numpy(add_background(up, **background))[None]
    # the mean color of the pixels that a cell touches
    pixels = np.zeros((3, *size), np.float32)
    for y in range(size[0]):
        for x in range(size[1]):
            rows = slice(y * 20 // size[0], -(-(y + 1) * 20 // size[0]))
            columns = slice(x * 31 // size[1], -(-(x + 1) * 31 // size[1]))
            pixels[:, y, x] = image[rows, columns].mean(axis=(0, 1))
    probs = PixelAdaptiveRefinement(**rest)(torch.from_numpy(pixels)[None],
                                            probs)[0].numpy()
    assert got.shape == (2, *size) and got.dtype == np.float32
    for c in range(2):
        want = probs[c + 1] / (probs[1:].max(0) + probs[0])
        np.testing.assert_allclose(got[c], want, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize('options', [dict(), dict(bg_power=1.)])
@pytest.mark.parametrize('value', [0., .5, 1.])
@pytest.mark.parametrize('size', [(1, 1), (7, 1), (5, 6)])
def test_constant_maps_and_tiny_images(options, value, size):
    maps = np.full((2, 3, 3), value, np.float32)
    _, image = _case(size=size)
    out = PixelAdaptive(
        downscale=2, device='cpu', **options).refine(maps, image)
    background = 1 - value if options else .35
    want = value / (value + background)
    np.testing.assert_allclose(out, want, atol=1e-5)
    assert out.min() >= 0 and out.max() <= 1


def test_same_bytes_again_and_about_the_same_with_other_threads():
    maps, image = _case(size=(80, 100))
    refiner = PixelAdaptive(device='cpu')
    before, outs = torch.get_num_threads(), []
    try:
        for threads in (1, 1, 3):
            torch.set_num_threads(threads)
            outs.append(refiner.refine(maps, image))
    finally:
        torch.set_num_threads(before)
    assert outs[0].tobytes() == outs[1].tobytes()
    np.testing.assert_allclose(outs[2], outs[0], atol=1e-5)
