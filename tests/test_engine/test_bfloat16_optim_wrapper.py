# Copyright (c) group_wsss contributors. All rights reserved.
import copy

import pytest
import torch
import torch.nn as nn
from mmengine.registry import OPTIM_WRAPPERS, DefaultScope

from group_wsss.engine.optimizers import BFloat16OptimWrapper


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(16, 4)


def wrap(layer, scope='group_wsss', **options):
    with DefaultScope.overwrite_default_scope(scope):
        return OPTIM_WRAPPERS.build(
            dict(
                type='group_wsss.BFloat16OptimWrapper',
                optimizer=torch.optim.SGD(layer.parameters(), .1),
                **options))


@pytest.mark.parametrize('scope', ['mmseg', 'mmpretrain', 'group_wsss'])
def test_a_step_by_hand(layer, scope):
    other = copy.deepcopy(layer)
    wrapper = wrap(layer, scope)
    assert type(wrapper) is BFloat16OptimWrapper
    x = torch.randn(8, 16)
    with wrapper.optim_context(layer):
        out = layer(x)
    assert out.dtype == torch.bfloat16 and layer(x).dtype == torch.float32
    loss = out.float().square().mean()
    loss.backward(retain_graph=True)
    assert {p.grad.dtype for p in layer.parameters()} == {torch.float32}
    layer.zero_grad()
    wrapper.update_params(loss)
    assert {p.dtype for p in layer.parameters()} == {torch.float32}
    # the same sum, of rounded numbers
    rounded = x.bfloat16().float(), other.weight.bfloat16().float()
    want = (rounded[0] @ rounded[1].T + other.bias.bfloat16().float())
    torch.testing.assert_close(out.float(), want, rtol=2**-7, atol=2**-7)
    other(x).square().mean().backward()
    for one, two in zip(layer.parameters(), other.parameters()):
        torch.testing.assert_close(
            one, two - .1 * two.grad, rtol=.01, atol=.01)
        assert not torch.equal(one, two)


def test_accumulates(layer):
    start = layer.weight.detach().clone()
    wrapper = wrap(layer, accumulative_counts=2)
    wrapper.initialize_count_status(layer, 0, 4)
    for step in range(2):
        assert torch.equal(layer.weight, start) == (step < 2)
        with wrapper.optim_context(layer):
            loss = layer(torch.randn(8, 16)).float().square().mean()
        wrapper.update_params(loss)
    assert not torch.equal(layer.weight, start)
