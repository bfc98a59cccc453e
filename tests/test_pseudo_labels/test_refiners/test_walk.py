# Copyright (c) group_wsss contributors. All rights reserved.
import math
import weakref

import numpy as np
import pytest
import torch
from mmengine.utils import digit_version
from torch.utils._python_dispatch import TorchDispatchMode

from group_wsss.models import AffinityHead
from group_wsss.pseudo_labels.refiners.random_walk import random_walk
from group_wsss.utils.errors import InputError
from group_wsss.utils.pairs import pair_offsets


def case(height, width, count=3, channels=4, seed=0):
    torch.manual_seed(seed)
    maps = torch.rand(count, height, width)
    return maps, 0.3 * torch.randn(channels, height, width)


def walk(maps, embedding, radius=3, **kwargs):
    return random_walk(maps, embedding, AffinityHead.log_affinity,
                       pair_offsets(radius), **kwargs)


def dense(maps, embedding, radius, beta, num_steps):
    """The matrix in full and its power."""
    count, height, width = maps.shape
    cells = [(y, x) for y in range(height) for x in range(width)]
    values = embedding.double().numpy()
    weights = np.eye(len(cells))
    for i, (y, x) in enumerate(cells):
        for j, (v, u) in enumerate(cells):
            if i != j and math.hypot(y - v, x - u) < radius:
                gap = np.abs(values[:, y, x] - values[:, v, u]).mean()
                weights[i, j] = np.exp(-gap)**beta
    matrix = weights / weights.sum(1, keepdims=True)
    power = np.linalg.matrix_power(matrix, num_steps)
    flat = maps.double().numpy().reshape(count, -1) @ power.T
    return torch.from_numpy(flat).reshape(maps.shape).float()


@pytest.mark.parametrize('size', [(5, 6), (1, 7), (7, 1), (1, 1), (2, 9)])
@pytest.mark.parametrize('radius, beta, num_steps', [(2, 1., 1), (3, 8., 4),
                                                     (5, 2.5, 16)])
def test_equals_the_power_of_the_dense_matrix(size, radius, beta, num_steps):
    maps, embedding = case(*size)
    before = maps.clone()
    got = walk(maps, embedding, radius, beta=beta, num_steps=num_steps)
    want = dense(maps, embedding, radius, beta, num_steps)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    assert torch.equal(maps, before)


class PeakMemory(TorchDispatchMode):
    """The most bytes that tensors made here hold at one time."""

    def __init__(self):
        super().__init__()
        self.known, self.now, self.peak = set(), 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        inputs = {
            x.untyped_storage()._cdata
            for x in args if isinstance(x, torch.Tensor)
        }
        if isinstance(out, torch.Tensor):
            storage = out.untyped_storage()
            key = storage._cdata
            if key not in self.known | inputs:
                self.known.add(key)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._free, key, storage.nbytes())
        return out

    def _free(self, key, size):
        self.known.discard(key)
        self.now -= size


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.2'),
    reason='torch 2.1 never calls back when a storage is freed')
@pytest.mark.parametrize('size, num_steps, share', [((64, 9), 1, 0.4),
                                                    ((40, 30), 7, 0.7),
                                                    ((60, 3), 12, 0.75)])
def test_bands_give_the_same_in_less_memory(size, num_steps, share):
    maps, embedding = case(*size, channels=12)
    before = maps.clone()
    with PeakMemory() as whole:
        want = walk(maps, embedding, num_steps=num_steps)
    # the witness sees at least the affinities
    assert whole.peak > len(pair_offsets(3)) * size[0] * size[1] * 4
    cap = int(share * whole.peak)
    with PeakMemory() as bands:
        got = walk(maps, embedding, num_steps=num_steps, max_bytes=cap)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)
    assert 0 < bands.peak <= cap < whole.peak
    assert torch.equal(maps, before)


def test_smallest_memory():
    maps, embedding = case(40, 30)
    with pytest.raises(InputError, match='max_bytes=1000 .*40x30') as error:
        walk(maps, embedding, max_bytes=1000)
    least = int(str(error.value).rsplit(' ', 1)[1])
    want = walk(maps, embedding, num_steps=5)
    got = walk(maps, embedding, num_steps=5, max_bytes=least)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)
    with pytest.raises(InputError, match='max_bytes'):
        walk(maps, embedding, num_steps=5, max_bytes=least - 1)


def test_no_neighbours_no_change():
    maps, embedding = case(4, 5)
    assert torch.equal(walk(maps, embedding, radius=1), maps)
    least = 4 * 5 * (2 * 3 * 4 + 4 + 8 + 24)
    assert torch.equal(walk(maps, embedding, radius=1, max_bytes=least), maps)
