# Copyright (c) group_wsss contributors. All rights reserved.
"""Counts that decide the speed and cannot drift: calls, bytes, look-ups.

Seconds are measured by benchmarks/speed.py and guarded nowhere.
"""
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from group_wsss.models import CoAttention, CoAttentionGNN, ConvGRU
from group_wsss.structures import ScoreMap

BENCHMARKS = Path(__file__).parents[1] / 'benchmarks'


class Watch(TorchDispatchMode):
    """Names of the operations of a pass, and its largest new tensor."""

    def __init__(self):
        super().__init__()
        self.names, self.largest = [], 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.names.append(func.overloadpacket.__name__)
        for item in tree_flatten(out)[0]:
            if isinstance(item, torch.Tensor):
                self.largest = max(self.largest,
                                   item.untyped_storage().nbytes())
        return out

    def count(self, text):
        return sum(text in name for name in self.names)


def train_pass(group_size, side, num_steps=3, channels=8, images=None, **more):
    torch.manual_seed(0)
    neck = CoAttentionGNN(
        channels, num_steps=num_steps, group_size=group_size, **more).train()
    x = torch.randn(images or group_size, channels, side, side)
    x.requires_grad_()
    with Watch() as watch:
        neck((x, ))[-1].square().mean().backward()
    return watch


@pytest.mark.parametrize('softmax', ['sender', 'group'])
def test_one_fused_attention_a_round(softmax):
    """For any K and any number of groups, forward and backward."""
    options = dict(coattention=dict(softmax=softmax))
    for k, images in ((2, 2), (4, 8), (8, 8)):
        watch = train_pass(k, 6, images=images, **options)
        forward = watch.count('scaled_dot_product')
        assert forward == 2 * 3, watch.names
        assert watch.count('backward') >= 3


@pytest.mark.parametrize('group_size, images', [(3, 12), (4, 4), (8, 16)])
def test_operations_do_not_grow_with_the_batch(group_size, images):
    few = train_pass(3, 6, images=3)
    more = train_pass(group_size, 6, images=images)
    assert len(more.names) == len(few.names)


def test_operations_of_a_round():
    """An upper bound, so that nobody adds a copy without noticing."""
    one, two = (len(train_pass(4, 6, num_steps=n).names) for n in (1, 2))
    # views among them; 205 with torch 2.11, 232 with 2.1
    assert two - one <= 240


def test_no_tensor_with_all_pairs_of_positions():
    """Four times the positions, four times the bytes and not sixteen."""
    small, large = (train_pass(3, side, num_steps=1) for side in (16, 32))
    # K (K - 1) N C floats for messages, 3 K N C in the update
    assert large.largest <= 9 * 32**2 * 8 * 4
    assert large.largest == 4 * small.largest
    assert large.largest < 32**4 * 4


def test_memory_is_linear_in_positions(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from speed_common import fitted_exponent, peak_bytes
    sides, peak = (16, 32, 48), []
    for side in sides:
        neck = CoAttentionGNN(8, num_steps=2, group_size=3).train()
        x = torch.randn(3, 8, side, side, requires_grad=True)
        peak.append(
            peak_bytes(lambda: neck((x, ))[-1].square().mean().backward()))
    assert 0.9 < fitted_exponent([side**2 for side in sides], peak) < 1.05


@pytest.fixture
def seen(monkeypatch):
    """Query, key and value of every attention."""
    found = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def spy(*args, **kwargs):
        found.append(args)
        return attention(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, 'scaled_dot_product_attention',
                        spy)
    return found


def test_query_is_not_copied_for_each_sender(seen):
    CoAttention(8)(torch.randn(2, 5, 8, 4, 4))
    assert [(q.shape[1], q.stride(1)) for q, *_ in seen] == [(4, 0)]


def test_pooled_messages_do_not_grow_with_positions(seen):
    layer = CoAttention(8, pool_size=4)
    for side in (8, 16, 31):
        layer(torch.randn(1, 3, 8, side, side))
    assert [(k.shape[2], v.shape[2]) for _, k, v, *_ in seen] == [(16, 16)] * 3


def test_update_keeps_no_copy_of_message_and_state():
    """Autograd keeps message, state, gates, candidate, what is reset."""
    gru = ConvGRU(8)
    message, state = torch.randn(2, 2, 8, 16, 16).unbind()
    state.requires_grad_()
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        out = gru(message, state)
    large = [
        t for t in kept.values()
        if t.untyped_storage().nbytes() >= state.untyped_storage().nbytes()
    ]
    size = sum(t.untyped_storage().nbytes() for t in large)
    assert out.shape == state.shape
    # two gates in one, reset * state, candidate, beyond message and state
    assert size <= (4 + 2) * state.untyped_storage().nbytes()


def test_label_reads_each_map_once(monkeypatch):
    """No array of all classes at the size of the image."""
    maps = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)
    score_map = ScoreMap('a', (64, 64), [3, 9, 17], maps)
    resized = score_map.resize()
    assert resized.maps.shape == (3, 64, 64)
    monkeypatch.setattr(ScoreMap, '__init__', None)  # not checked again
    score, label = score_map.resize().best()
    assert (score == resized.maps.max(0)).all()
    want = np.array([4, 10, 18], np.uint8)[resized.maps.argmax(0)]
    assert label.dtype == np.uint8 and (label == want).all()
