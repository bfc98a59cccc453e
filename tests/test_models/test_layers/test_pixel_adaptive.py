# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from group_wsss.models.layers import PixelAdaptiveRefinement
from group_wsss.utils.errors import InputError

PAMR = dict(distance='absolute', center=True, w1=.1, w2=0)


def by_loops(image,
             maps,
             dilations,
             num_iters,
             w1=.3,
             w2=.01,
             distance='square',
             center=False,
             valid=None):
    """The equations, one pixel and one neighbour at a time, float64."""
    _, height, width = image.shape
    offsets = [(d * dy, d * dx) for d in dilations for dy in (-1, 0, 1)
               for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
    power = 2 if distance == 'square' else 1
    far = np.array([np.hypot(*offset) for offset in offsets])
    position = np.exp(-(far / (w1 * far.std(ddof=1)))**power)
    position /= position.sum()
    for _ in range(num_iters):
        out = np.zeros_like(maps)
        for y, x in np.ndindex(height, width):
            places = []
            for dy, dx in offsets:
                v = min(max(y + dy, 0), height - 1)
                u = min(max(x + dx, 0), width - 1)
                if valid is not None and not (valid[y, x] and valid[v, u]):
                    v, u = y, x
                places.append((v, u))
            colors = np.array([image[:, v, u] for v, u in places])
            seen = colors
            if center:
                seen = [*colors, *[image[:, y, x]] * len(dilations)]
            deviation = np.std(seen, axis=0, ddof=1) + 1e-12
            apart = np.abs(colors - image[:, y, x]) / (w1 * deviation)
            color = np.exp(-(apart**power).mean(axis=1))
            weight = (color / color.sum() + w2 * position) / (1 + w2)
            out[:, y,
                x] = weight @ np.array([maps[:, v, u] for v, u in places])
        maps = out
    return maps


def case(shape, batch=2, classes=3, seed=0, dtype=torch.double):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, 3, *shape, generator=generator, dtype=dtype)
    maps = torch.rand(batch, classes, *shape, generator=generator, dtype=dtype)
    return images, maps


@pytest.mark.parametrize('options', [
    dict(num_iters=3),
    dict(dilations=(1, 2, 4, 8, 12, 24)),
    dict(w1=.7, w2=.3),
    dict(w2=0),
    dict(distance='absolute'),
    dict(center=True),
    dict(PAMR, dilations=(1, 4)),
])
@pytest.mark.parametrize('masked', [False, True])
def test_against_loops(options, masked):
    options = dict(dict(dilations=(1, 2), num_iters=1), **options)
    images, maps = case((5, 7))
    before = images.clone(), maps.clone()
    valid = None
    if masked:
        valid = torch.rand(2, 5, 7, generator=torch.manual_seed(1)) > .4
        valid[0, 2:, :] = False
    out = PixelAdaptiveRefinement(**options)(images, maps, valid)
    for b in range(2):
        want = by_loops(
            images[b].numpy(),
            maps[b].numpy(),
            valid=valid[b].numpy() if masked else None,
            **options)
        # the layer adds 1e-5 to deviations of about 0.3
        np.testing.assert_allclose(out[b], want, rtol=1e-4)
        if masked:
            kept = ~valid[b]
            np.testing.assert_array_equal(out[b][:, kept], maps[b][:, kept])
    assert torch.equal(images, before[0]) and torch.equal(maps, before[1])


@pytest.mark.parametrize('images', [
    torch.full((1, 3, 5, 6), 3.),
    torch.zeros(1, 3, 1, 1),
    torch.eye(6)[None, None].repeat(1, 3, 1, 1) * 255,
])
def test_flat_images_are_finite_with_gradients(images):
    images = images.clone().requires_grad_()
    maps = torch.rand(1, 2, *images.shape[2:], requires_grad=True)
    out = PixelAdaptiveRefinement()(images, maps)
    (out**2).sum().backward()
    assert out.isfinite().all()
    assert maps.grad.isfinite().all() and images.grad.isfinite().all()
    # a constant map stays what it is
    flat = PixelAdaptiveRefinement()(images, torch.full_like(maps, .3))
    torch.testing.assert_close(flat, torch.full_like(maps, .3))


@pytest.mark.parametrize('options, masked', [(dict(), True), (PAMR, False)])
def test_gradcheck(options, masked):
    images, maps = case((3, 4), classes=2)
    valid = None
    if masked:
        valid = torch.rand(2, 3, 4, generator=torch.manual_seed(1)) > .3
    layer = PixelAdaptiveRefinement((1, 2), 2, **options)
    assert torch.autograd.gradcheck(
        lambda x, m: layer(x, m, valid),
        (images.requires_grad_(), maps.requires_grad_()))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_small_maps_of_half_precision(dtype):
    images, maps = case((6, 8), dtype=torch.float32)
    small = F.avg_pool2d(maps, 2).to(dtype)
    up = F.interpolate(small.float(), (6, 8), mode='bilinear')
    layer = PixelAdaptiveRefinement()
    with torch.autocast('cpu', torch.bfloat16):
        out = layer(images, small)
        full = layer(images, maps)
    assert out.dtype == dtype and full.dtype == torch.float32
    # float32 inside: the only rounding is that of the result
    assert torch.equal(out, layer(images, up).to(dtype))
    assert torch.equal(full, layer(images, maps))
    still = PixelAdaptiveRefinement(num_iters=0)
    torch.testing.assert_close(still(images, small), up.to(dtype))


@pytest.mark.slow
def test_compiles_to_one_graph():
    images, maps = case((6, 8), dtype=torch.float32)
    layer = PixelAdaptiveRefinement((1, 2), 2)
    compiled = torch.compile(layer, backend='eager', fullgraph=True)
    fast, slow = maps.clone().requires_grad_(), maps.requires_grad_()
    out, want = compiled(images, fast), layer(images, slow)
    torch.testing.assert_close(out, want)
    out.square().sum().backward()
    want.square().sum().backward()
    torch.testing.assert_close(fast.grad, slow.grad)


@pytest.mark.parametrize('options', [
    dict(dilations=()),
    dict(dilations=(1, 0)),
    dict(num_iters=-1),
    dict(w1=0),
    dict(w2=-1),
    dict(distance='cosine'),
])
def test_bad_options_are_named(options):
    with pytest.raises(InputError, match=next(iter(options))):
        PixelAdaptiveRefinement(**options)
