# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch

from group_wsss.contrib.seam import PixelCorrelation
from group_wsss.utils.errors import InputError


def plain(layer, maps, feat):
    """Position by position; maps ``(M, N)``, feat ``(D, N)``."""
    if layer.embed is not None:
        feat = layer.embed.weight[:, :, 0, 0] @ feat
    out = torch.zeros_like(maps)
    for j in range(maps.shape[1]):
        weights = []
        for i in range(maps.shape[1]):
            cosine = (feat[:, i] @ feat[:, j]) / (
                feat[:, i].norm() * feat[:, j].norm())
            weights.append(max(cosine.item(), 0))
        for i, weight in enumerate(weights):
            out[:, j] += maps[:, i] * weight / sum(weights)
    return out


@pytest.mark.parametrize('options', [
    dict(),
    dict(in_channels=5, embed_channels=4),
])
def test_against_loop(options):
    torch.manual_seed(0)
    layer = PixelCorrelation(**options)
    maps, feat = torch.rand(2, 3, 4, 3), torch.randn(2, 5, 4, 3)
    out = layer(maps, feat)
    for i in range(2):
        want = plain(layer, maps[i].flatten(1), feat[i].flatten(1))
        torch.testing.assert_close(
            out[i].flatten(1), want, atol=1e-5, rtol=1e-5)


def test_two_things_do_not_mix():
    feat = torch.zeros(1, 2, 2, 2)
    feat[0, 0, 0], feat[0, 1, 1] = 1, 1  # upper and lower row
    maps = torch.tensor([[[[1., 0], [0, 0]]]])
    out = PixelCorrelation()(maps, feat)
    torch.testing.assert_close(
        out, torch.tensor([[[[0.5, 0.5], [0, 0]]]]), atol=1e-4, rtol=0)


def test_gradients():
    torch.manual_seed(0)
    layer = PixelCorrelation(3, 4).double()
    maps = torch.rand(1, 2, 2, 3, dtype=torch.double, requires_grad=True)
    feat = torch.randn(1, 3, 2, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: layer(m, feat.detach()), maps)
    weight = layer.embed.weight
    assert torch.autograd.gradcheck(
        lambda w: torch.func.functional_call(layer, {'embed.weight': w},
                                             (maps.detach(), feat.detach())),
        weight.detach().requires_grad_())
    layer(maps, feat).sum().backward()
    assert feat.grad is None and weight.grad is not None


def test_zeros_autocast_and_errors():
    feat = torch.zeros(1, 3, 2, 2)
    assert torch.equal(PixelCorrelation()(torch.rand(1, 2, 2, 2), feat),
                       torch.zeros(1, 2, 2, 2))
    maps, feat = torch.rand(1, 2, 4, 4), torch.randn(1, 3, 4, 4)
    layer = PixelCorrelation(3, 2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = layer(maps, feat)
    assert torch.equal(half, layer(maps, feat))
    for bad in (dict(embed_channels=4), dict(in_channels=3, embed_channels=0)):
        with pytest.raises(InputError, match='embed_channels'):
            PixelCorrelation(**bad)
