# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS

from group_wsss.errors import InputError
from group_wsss.models import CoAttention


def plain_message(layer, receiver, sender, valid=None):
    """One message by einsum and softmax; receiver ``(C, H, W)``."""

    def project(conv, x):
        out = torch.einsum('dc,chw->dhw', conv.weight[:, :, 0, 0], x)
        if conv.bias is not None:
            out = out + conv.bias[:, None, None]
        if layer.normalize:
            out = out / out.norm(dim=0, keepdim=True)
        return out.flatten(1)

    score = torch.einsum('dn,dm->nm', project(layer.query, receiver),
                         project(layer.key, sender)) * layer.scale
    if valid is not None:
        score = score.masked_fill(~valid.flatten()[None], -torch.inf)
    weight = score.softmax(1)
    message = torch.einsum('nm,cm->cn', weight, sender.flatten(1))
    message = message.view_as(sender)
    if layer.gate is not None:
        gate = torch.einsum('oc,chw->ohw', layer.gate.weight[:, :, 0, 0],
                            message)
        message = torch.sigmoid(gate) * message
    return message


@pytest.mark.parametrize('options', [
    dict(),
    dict(gate=False),
    dict(normalize=True, scale=10.0),
    dict(key_channels=3, bias=True, scale=0.5),
    dict(key_channels=9),
    dict(self_edge=True),
])
@pytest.mark.parametrize('masked', [False, True])
def test_against_loop(options, masked):
    torch.manual_seed(0)
    layer = CoAttention(6, **options).double()
    nodes = torch.randn(2, 4, 6, 3, 5, dtype=torch.double)
    mask = None
    if masked:
        mask = torch.rand(2, 4, 3, 5) > 0.4
        mask[..., 0, 0] = True
    out = layer(nodes, mask)
    for g in range(2):
        for i in range(4):
            senders = [
                j for j in range(4) if options.get('self_edge') or j != i
            ]
            assert out.shape[2] == len(senders)
            for s, j in enumerate(senders):
                want = plain_message(layer, nodes[g, i], nodes[g, j],
                                     mask[g, j] if masked else None)
                torch.testing.assert_close(out[g, i, s], want)


def test_messages_are_convex_combinations():
    layer = CoAttention(4, gate=False)
    nodes = torch.randn(1, 2, 4, 3, 3)
    out = layer(nodes)
    high = nodes[0, 1].flatten(1).amax(1)[:, None, None]
    low = nodes[0, 1].flatten(1).amin(1)[:, None, None]
    assert ((out[0, 0, 0] <= high + 1e-5) & (out[0, 0, 0] >= low - 1e-5)).all()


def test_gradcheck():
    torch.manual_seed(0)
    layer = CoAttention(4).double()
    nodes = torch.randn(1, 3, 4, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(layer, nodes)


@pytest.mark.parametrize('group_size', [2, 5])
def test_one_attention_call(monkeypatch, group_size):
    calls = []
    attention = F.scaled_dot_product_attention

    def count(*args, **kwargs):
        calls.append(args[0].shape)
        return attention(*args, **kwargs)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', count)
    CoAttention(4)(torch.randn(3, group_size, 4, 2, 3))
    assert calls == [(3, group_size * (group_size - 1), 6, 4)]


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'group_wsss'])
def test_config_errors(scope):
    assert MODELS.build(
        dict(type='group_wsss.CoAttention', in_channels=20,
             _scope_=scope)).query.out_channels == 10
    with pytest.raises(InputError, match='key_channels'):
        CoAttention(4, key_channels=0)
