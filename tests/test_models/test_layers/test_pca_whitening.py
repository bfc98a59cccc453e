# Copyright (c) group_wsss contributors. All rights reserved.
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed as dist

from group_wsss.models import PCAWhitening
from group_wsss.utils.errors import InputError

CHANNELS = 6
PROJECTS = str(Path(__file__).parents[3] / 'projects')


def batches(count=2, size=(3, CHANNELS, 4, 5), offset=2.0):
    """Correlated channels of different scale, far from zero."""
    torch.manual_seed(0)
    mixing = torch.randn(CHANNELS, CHANNELS)
    return [
        torch.einsum('dc,bchw->bdhw', mixing, torch.randn(size)) + offset
        for _ in range(count)
    ]


def positions(maps, masks=None):
    """All positions as rows of a float64 array."""
    rows = []
    for i, x in enumerate(maps):
        for b, h, w in np.ndindex(len(x), *x.shape[2:]):
            if masks is None or masks[i][b, h, w]:
                rows.append(x[b, :, h, w].double().numpy())
    return np.stack(rows)


def assert_statistics(layer, rows, atol=1e-4):
    assert float(layer.count) == len(rows)
    np.testing.assert_allclose(layer.mean, rows.mean(0), atol, atol)
    np.testing.assert_allclose(layer.covariance, np.cov(rows.T, bias=True),
                               atol, atol)


@pytest.mark.parametrize('masked', [False, True])
def test_statistics_of_all_positions(masked):
    layer = PCAWhitening(CHANNELS, 3)
    maps = batches(3)
    maps[1] = maps[1][:1] + 5  # batches of different size and mean
    masks = [torch.rand(x.shape[0], 4, 5) > 0.4 * masked for x in maps]
    for x, mask in zip(maps, masks):
        garbage = ~mask.unsqueeze(1).expand_as(x)
        layer(x.masked_fill(garbage, 1e6), mask if masked else None)
    assert_statistics(layer, positions(maps, masks))
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    layer.update(maps[0], torch.zeros(3, 4, 5, dtype=torch.bool))
    assert all(torch.equal(layer.state_dict()[k], before[k]) for k in before)
    # the mean square of such values has no digits left for the spread
    layer, maps = PCAWhitening(CHANNELS, 3), batches(offset=3e3)
    for x in maps:
        layer(x)
    assert_statistics(layer, positions(maps), 1e-2)


@pytest.mark.parametrize('width', [2, CHANNELS])
def test_output_is_white(width):
    layer = PCAWhitening(CHANNELS, width)
    x, other = batches()
    for out in (layer(x), layer.eval()(x)):
        assert out.shape == (3, width, 4, 5)
        rows = positions([out])
        np.testing.assert_allclose(rows.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(
            np.cov(rows.T, bias=True), np.eye(width), atol=2e-3)
    # the leading directions: they keep the largest possible share
    values = np.linalg.eigvalsh(np.cov(positions([x]).T, bias=True))
    kept = layer.weight.double().pinverse()
    assert kept.square().sum().item() == pytest.approx(
        values[-width:].sum(), rel=1e-2)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    layer(other.requires_grad_()).square().sum().backward()
    assert torch.isfinite(other.grad).all() and other.grad.abs().sum() > 0
    for name, value in layer.state_dict().items():  # eval does not learn
        assert torch.equal(value, before[name]), name


def test_directions_follow_before_eval():
    layer = PCAWhitening(CHANNELS, CHANNELS)
    x, more = batches(size=(4, CHANNELS, 4, 5))
    layer(x)
    first = layer.weight.clone()
    layer(more[:1])
    # 80 + 20 positions are no reason to start anew while training
    assert torch.equal(layer.weight, first)
    assert layer.fitted == 80
    rows = positions([layer.eval()(torch.cat([x, more[:1]]))])
    assert layer.fitted == layer.count == 100
    np.testing.assert_allclose(
        np.cov(rows.T, bias=True), np.eye(CHANNELS), atol=2e-3)
    layer.train()(more)
    assert layer.count == 180 and layer.fitted == 100
    layer(more)
    assert layer.fitted == 260


def test_state_dict_round_trip():
    layer, copy = (PCAWhitening(CHANNELS, 3) for _ in range(2))
    x, other = batches()
    layer(x)
    copy.load_state_dict(layer.state_dict())
    assert torch.equal(copy.eval()(other), layer.eval()(other))
    for each in (copy, layer):  # and they go on alike
        each.train()(other)
    assert torch.equal(copy.eval()(x), layer.eval()(x))
    assert not list(layer.parameters())


def test_momentum():
    layer = PCAWhitening(CHANNELS, 3, momentum=0.25)
    maps = batches(3)
    maps[1] = maps[1] + 4
    mean, second = None, None
    for x in maps:
        layer(x)
        rows = positions([x])
        first, square = rows.mean(0), rows.T @ rows / len(rows)
        # running averages of x and x x^T; the first batch starts them
        mean = first if mean is None else 0.75 * mean + 0.25 * first
        second = square if second is None else 0.75 * second + 0.25 * square
    np.testing.assert_allclose(layer.mean, mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        layer.covariance, second - np.outer(mean, mean), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, None])
def test_half_input_and_autocast(dtype):
    x, = batches(1, offset=20. if dtype is None else 2.)
    x = x.to(dtype or torch.float32)
    layer, full = (PCAWhitening(CHANNELS, 3) for _ in range(2))
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype is None):
        out = layer(x)
    assert out.dtype == x.dtype and layer.covariance.dtype == torch.float32
    torch.testing.assert_close(out, full(x.float()).to(x.dtype))
    assert torch.equal(layer.covariance, full.covariance)


def run_rank(folder, rank):
    """One of two processes; see the end of the file."""
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/rendezvous',
        rank=rank,
        world_size=2)
    layer = PCAWhitening(CHANNELS, 3)
    for x in batches(3):
        # of three images this rank has one, the other two
        layer(x[:1] if rank == 0 else x[1:])
    torch.save(layer.eval().state_dict(), f'{folder}/{rank}.pth')
    dist.barrier()
    os._exit(0)  # gloo of torch 2.1 may not come back from its end


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    single = PCAWhitening(CHANNELS, 3)
    for x in batches(3):
        single(x)
    single.eval()(batches(1)[0])
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__,
             str(tmp_path), str(rank)],
            env=dict(os.environ, PYTHONPATH=PROJECTS)) for rank in range(2)
    ]
    assert [process.wait(120) for process in ranks] == [0, 0]
    one, other = (
        torch.load(tmp_path / f'{rank}.pth', weights_only=True)
        for rank in range(2))
    for name, value in single.state_dict().items():
        assert torch.equal(one[name], other[name]), name
        if name not in ('weight', 'fitted'):  # directions have no sign
            torch.testing.assert_close(one[name], value, atol=1e-4, rtol=1e-4)


def test_directions_without_variance_are_not_blown_up():
    """``eps`` is their variance, relative to the largest one."""
    x = torch.zeros(2, 2, 3, 3)
    x[:, 0] = torch.randn(2, 3, 3)
    layer = PCAWhitening(2, 2, eps=0.01).train()
    layer(x)
    layer.fit()
    largest = float(x[:, 0].var(unbiased=False))
    lengths = layer.weight.norm(dim=1).sort()[0]
    torch.testing.assert_close(lengths,
                               (largest * torch.tensor([1.01, 0.01]))**-0.5)


def test_errors():
    for width in (0, CHANNELS + 1):
        with pytest.raises(InputError, match=f'out_channels .* {width}.*1..6'):
            PCAWhitening(CHANNELS, width)
    with pytest.raises(InputError, match='no image'):
        PCAWhitening(CHANNELS, 3).eval()(batches(1)[0])


if __name__ == '__main__':
    run_rank(sys.argv[1], int(sys.argv[2]))
