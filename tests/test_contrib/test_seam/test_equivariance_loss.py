# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from group_wsss.contrib.seam import EquivarianceLoss, PixelCorrelation
from group_wsss.utils.errors import InputError

TARGET = torch.tensor([[1., 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]])


def view(h, w, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    maps = torch.randn(3, 4, h, w, dtype=dtype)
    return maps, torch.randn(3, 5, h, w, dtype=dtype), None


def unit(plane):
    plane = plane.clamp(min=0)
    return plane / (plane.max() + 1e-5)


def shrink(planes, size):
    """Mean over the cells that a cell of the smaller map covers."""
    return F.adaptive_avg_pool2d(planes, size)


def hot(planes):
    """Background and classes; only the strongest class of a position."""
    out = torch.zeros(len(planes) + 1, *planes[0].shape)
    for y, x in np.ndindex(*planes[0].shape):
        values = [p[y, x].item() for p in planes]
        best = max(values)
        out[:, y, x] = torch.tensor(
            [1 - best, *(v if v == best else 0 for v in values)])
    return out


def averaged(planes, feat, embed):
    """Over positions that look alike, by a loop over positions."""
    feat = feat.flatten(1)
    if embed is not None:
        feat = embed.weight[:, :, 0, 0] @ feat
    feat = feat / feat.norm(dim=0)
    out = torch.zeros_like(planes).flatten(1)
    for j in range(feat.shape[1]):
        weight = torch.stack([(feat[:, i] @ feat[:, j]).clamp(min=0)
                              for i in range(feat.shape[1])])
        out[:, j] = planes.flatten(1) @ weight / weight.sum()
    return out.view_as(planes)


def plain(loss, first, second, target):
    """Both losses by loops over images, classes and positions."""
    er, ecr = 0., 0.
    for i in range(len(target)):
        size = second[0].shape[2:]
        large, small = (
            torch.stack([
                unit(plane) * bool(there)
                for plane, there in zip(v[0][i], target[i])
            ]) for v in (first, second))
        shrunk = shrink(large, size)
        er += (shrunk - small).abs().mean().item()
        refined = []
        for planes, v in ((large, first), (small, second)):
            out = averaged(hot(planes), v[1][i], loss.correlation.embed)
            refined.append(shrink(torch.stack([unit(p) for p in out]), size))
        for maps, other in zip((small, shrunk), refined):
            error = (hot(maps) - other).abs().flatten().tolist()
            number = max(int(loss.topk * len(error)), 1)
            ecr += sum(sorted(error, reverse=True)[:number]) / number
    return er / len(target), ecr / len(target)


@pytest.mark.parametrize('options', [
    dict(),
    dict(topk=1.0),
    dict(in_channels=5, embed_channels=3),
])
@pytest.mark.parametrize('size', [(3, 4), (4, 5)])
def test_against_loop(options, size):
    first, second = view(6, 8), view(*size, seed=1)
    loss = EquivarianceLoss(er_weight=2.0, ecr_weight=3.0, **options)
    got = loss(first, second, TARGET)
    assert loss(first, second, TARGET * 0.3) == got  # soft labels
    er, ecr = plain(loss, first, second, TARGET)
    assert abs(got['loss_er'].item() - 2 * er) < 1e-5
    assert abs(got['loss_ecr'].item() - 3 * ecr) < 1e-5


def test_padding_is_cut_away():
    first, second = view(6, 8), view(3, 4, seed=1)
    sizes = [(6, 8), (4, 4), (5, 8)], [(3, 4), (2, 2), (3, 3)]
    loss = EquivarianceLoss()
    got = loss((*first[:2], sizes[0]), (*second[:2], sizes[1]), TARGET)
    apart = []
    for i in range(3):
        (h, w), (hs, ws) = sizes[0][i], sizes[1][i]
        apart.append(
            loss((*(x[i:i + 1, :, :h, :w] for x in first[:2]), None),
                 (*(x[i:i + 1, :, :hs, :ws] for x in second[:2]), None),
                 TARGET[i:i + 1]))
    for name in ('loss_er', 'loss_ecr'):
        torch.testing.assert_close(got[name], sum(x[name] for x in apart) / 3)
    # sizes that say that nothing is padding change nothing
    whole = loss((*first[:2], [(6, 8)] * 3), (*second[:2], [(3, 4)] * 3),
                 TARGET)
    for name, value in loss(first, second, TARGET).items():
        torch.testing.assert_close(whole[name], value)


def test_who_learns():
    maps = [torch.rand(3, 4, n, n, requires_grad=True) for n in (6, 3)]
    feats = [torch.randn(3, 5, n, n, requires_grad=True) for n in (6, 3)]
    views = [(m, f, None) for m, f in zip(maps, feats)]
    learned = EquivarianceLoss(in_channels=5, embed_channels=3)
    for loss, learns in ((EquivarianceLoss(), True), (learned, False)):
        got = loss(*views, TARGET)['loss_ecr']
        grads = torch.autograd.grad(
            got, maps + feats + list(loss.parameters()), allow_unused=True)
        assert all(
            (g is not None and g.abs().sum() > 0) == learns for g in grads[:2])
        assert grads[2] is None and grads[3] is None
        assert all(g.abs().sum() > 0 for g in grads[4:])


def test_refined_maps():
    torch.manual_seed(0)
    loss = EquivarianceLoss()
    maps, feat = torch.rand(3, 4, 5), torch.randn(5, 4, 5)
    best = torch.stack([unit(p) for p in maps])
    want = averaged(hot(list(best))[1:], feat, None)
    torch.testing.assert_close(
        loss.refine_maps(maps, feat),
        torch.stack([unit(p) for p in want]),
        atol=1e-5,
        rtol=1e-5)
    assert loss.refine_maps(maps[:0], feat).shape == (0, 4, 5)


def test_second_view():
    images = [torch.rand(3, 10, 20), torch.rand(3, 7, 1)]
    out = EquivarianceLoss().shrink(images)
    assert [tuple(x.shape) for x in out] == [(3, 3, 6), (3, 2, 1)]
    whole = EquivarianceLoss().shrink(torch.stack(images[:1]))
    assert torch.equal(whole[0], out[0])


def test_edges_and_errors():
    loss = EquivarianceLoss()
    maps = torch.zeros(1, 4, 1, 1, requires_grad=True)
    view = maps, torch.zeros(1, 5, 1, 1), None
    sum(loss(view, view, torch.zeros(1, 4)).values()).backward()
    assert torch.isfinite(maps.grad).all()
    for bad in (dict(scale=1.0), dict(scale=0.0), dict(topk=0.0),
                dict(topk=1.1), dict(map_source='mean'),
                dict(in_channels=4, embed_channels=2, ecr_weight=0)):
        with pytest.raises(InputError, match='EquivarianceLoss'):
            EquivarianceLoss(**bad)
    for bad in (dict(embed_channels=4), dict(in_channels=3, embed_channels=0)):
        with pytest.raises(InputError, match='embed_channels'):
            PixelCorrelation(**bad)
    # no gradient reaches the features; autocast rounds nothing
    layer, feat = PixelCorrelation(3, 2), torch.randn(1, 3, 4, 4)
    maps = torch.rand(1, 2, 4, 4)
    out = layer(maps, feat.requires_grad_())
    out.sum().backward()
    assert feat.grad is None and layer.embed.weight.grad is not None
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(layer(maps, feat), out)
