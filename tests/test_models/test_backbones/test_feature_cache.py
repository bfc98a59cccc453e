# Copyright (c) group_wsss contributors. All rights reserved.
import copy
import pickle

import pytest
import torch
import torch.nn as nn
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import load_state_dict

from group_wsss.utils.errors import InputError

# one map of the backbone below for 3 x 12 x 12 pixels
MAP_BYTES = 5 * 12 * 12 * 4


@MODELS.register_module()
class CountingBackbone(nn.Module):
    """Two maps an image; knows how many images it has seen."""

    def __init__(self, kind='tuple'):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 5, 3, padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.kind = kind
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        first = self.conv(x)
        both = first, self.norm(first).relu()
        return dict(tuple=both, list=[first], tensor=first)[self.kind]


def build(frozen=True, kind='tuple', **kwargs):
    cache = MODELS.build(
        dict(
            type='group_wsss.FeatureCache',
            backbone=dict(type='CountingBackbone', kind=kind),
            **kwargs))
    if frozen:
        cache.requires_grad_(False).eval()
    return cache


def images(count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 12, 12, generator=generator)


@torch.no_grad()
def assert_is_backbone(cache, x):
    """Bit for bit what the backbone says of each image alone."""
    got = cache(x)
    assert isinstance(got, tuple)
    for i in range(len(x)):
        want = cache.backbone(x[i:i + 1])
        want = [want] if isinstance(want, torch.Tensor) else want
        assert len(got) == len(want)
        assert all(torch.equal(a[i:i + 1], b) for a, b in zip(got, want))


@pytest.mark.parametrize('kind', ['tuple', 'list', 'tensor'])
@pytest.mark.parametrize('exact', [True, False])
def test_equals_backbone(kind, exact):
    cache, x = build(kind=kind, exact=exact), images()
    names = {f'backbone.{k}' for k in cache.backbone.state_dict()}
    for batch in (torch.cat([x, x[:1]]), x, x.flip(0), x[1:]):
        if exact:
            assert_is_backbone(cache, batch)
        else:
            torch.testing.assert_close(cache(batch), cache._run(batch))
        again = cache(batch)[0].zero_()  # a copy
        # laid out as the backbone does
        assert again.is_contiguous(memory_format=torch.channels_last)
    # an image that is twice in a batch is seen once
    assert cache.backbone.seen[:2] == ([1, 1] if exact else [3, 4])
    assert (cache.hits, cache.misses) == (4 + 2 * (3 + 3 + 2), 3)
    assert set(cache.state_dict()) == names
    # a map does not hold the memory of its batch
    for maps in cache._maps.values():
        assert all(m.untyped_storage().nbytes() == MAP_BYTES for m in maps)


@pytest.mark.parametrize(
    'change',
    [
        lambda x: x + 1e-6 * torch.eye(12),
        lambda x: x.reshape(1, 3, 6, 24),  # the same bytes
        lambda x: x.double(),
        lambda x: x.flip(1),
    ])
def test_other_pixels_miss(change):
    cache, x = build(), images(1)
    cache(x)
    other = change(x)
    cache.to(other.dtype)
    assert_is_backbone(cache, other)
    assert cache.hits == 0
    # strides are no pixels
    cache(other.contiguous(memory_format=torch.channels_last))
    assert cache.hits == 1


def test_memory_is_bounded():
    cache, x = build(max_bytes=4 * MAP_BYTES), images(4)
    cache(x[:2])
    cache(x[:1])  # the first one is the more recent one now
    cache(x[2:3])
    assert cache.bytes == 4 * MAP_BYTES and len(cache._maps) == 2
    cache(x[:1])
    assert cache.hits == 2
    cache(x[1:2])
    assert cache.hits == 2  # the second one had to go
    assert_is_backbone(cache, x)  # a batch that does not fit as a whole
    small = build(max_bytes=2 * MAP_BYTES - 1)
    assert_is_backbone(small, x)
    assert small.bytes == 0 and not small._maps
    with pytest.raises(InputError, match='max_bytes of FeatureCache is 0'):
        build(max_bytes=0)


@pytest.mark.parametrize('change', [
    lambda cache, x: cache.train(),
    lambda cache, x: cache.backbone.norm.train(),
    lambda cache, x: cache.backbone.conv.bias.requires_grad_(),
    lambda cache, x: x.requires_grad_(),
])
def test_nothing_is_kept_while_it_trains(change):
    cache, x = build(), images()
    change(cache, x)
    for _ in range(2):
        out = cache(x)[-1]
    assert cache.backbone.seen == [3, 3]
    assert not cache._maps and (cache.hits, cache.misses) == (0, 0)
    assert out.requires_grad == (
        x.requires_grad or cache.backbone.conv.bias.requires_grad)


@pytest.mark.parametrize('change', [
    lambda cache, other: load_state_dict(cache, other),
    lambda cache, other: cache.backbone.load_state_dict({
        k[len('backbone.'):]: v
        for k, v in other.items()
    }),
    lambda cache, other: cache.backbone.conv.weight.mul_(2),
    lambda cache, other: cache.backbone.norm.running_mean.add_(1),
])
def test_other_weights(change):
    cache, x = build(), images()
    before = cache(x)[-1]
    change(cache, {k: v + 1 for k, v in cache.state_dict().items()})
    assert_is_backbone(cache, x)
    assert (cache.hits, cache.misses) == (0, 3)
    assert not torch.equal(cache(x)[-1], before)


def test_autocast_is_another_map():
    cache, x = build(), images()
    full = cache(x)[0]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = cache(x)[0]
    assert half.dtype == torch.bfloat16 and cache.hits == 0
    assert torch.equal(cache(x)[0], full) and cache.hits == 3


@pytest.mark.parametrize(
    'clone', [copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))])
def test_copies_start_empty(clone):
    cache, x = build(), images()
    cache(x)
    other = clone(cache)
    assert not other._maps and other.bytes == 0 and len(cache._maps) == 3
    with torch.no_grad():
        other.backbone.conv.weight.zero_()
    assert_is_backbone(other, x)
    assert_is_backbone(cache, x)
    assert cache.hits == 3
