# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch

import group_wsss.contrib.seam  # noqa: F401
from group_wsss.models import ContrastKeys, PCAWhitening


def test_whitening_until_it_begins():
    keys, white = ContrastKeys(6, 3, begin=3), PCAWhitening(6, 3)
    optimizer = torch.optim.Adam(keys.parameters(), lr=0.1)
    for _ in range(3):
        x = torch.randn(2, 6, 4, 4)
        out, embedded = keys(x), keys.embed(x)
        assert torch.equal(out, white(x)) and not out.requires_grad
        embedded.square().sum().backward()
        assert not keys.weight.grad.any()
        optimizer.step()
    # the statistics are complete: what begins to learn is their whitening
    white.fit()
    assert torch.equal(keys.weight.detach(), white.weight)
    count = keys.count.clone()
    x = torch.randn(2, 6, 4, 4, requires_grad=True)
    out, embedded = keys(x), keys.embed(x)
    assert torch.equal(keys.count, count)
    optimizer.zero_grad()
    (-embedded.sum()).backward()
    assert keys.weight.grad.abs().sum() > 0 and x.grad is None
    before = keys.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(keys.weight.detach(), before)
    # what was learned stays in eval mode, and in a checkpoint
    copy = ContrastKeys(6, 3, begin=3)
    copy.load_state_dict(keys.state_dict())
    with torch.no_grad():
        assert torch.equal(keys.eval()(x), copy.eval()(x))
        mean = keys.mean[:, None, None]
        plain = torch.einsum('dc,bchw->bdhw', keys.weight, x - mean)
        assert torch.allclose(keys(x), plain)


@pytest.mark.parametrize('seam', [(), ('loss_er', 'loss_ecr')])
def test_a_loss_of_the_ordinary_training_step(seam, make):
    keys = dict(key='contrast', whitening=dict(begin=1))
    neck = make.mixed(keys, contrast=dict(num_seeds=64))
    net = make.cam(neck, **dict(equivariance=dict()) if seam else {}).train()
    inputs, samples = torch.randn(4, 3, 16,
                                  16), make.samples(2, [[0], [0], [1], [1]])
    assert net.neck.contrast.num_seeds == 64
    losses = net.loss(inputs, samples)
    assert set(losses) == {'loss_cam', 'loss_graph', 'loss_contrast', *seam}
    net.loss(inputs, samples)['loss_contrast'].backward()
    touched = [n for n, p in net.named_parameters() if p.grad is not None]
    assert touched == ['neck.coattention.whiten.weight']
    assert net.neck.coattention.whiten.weight.grad.any()
    # classification does not move the keys
    net.zero_grad()
    losses = net.loss(inputs, samples)
    (losses['loss_cam'] + losses['loss_graph']).backward()
    assert net.neck.coattention.whiten.weight.grad is None
