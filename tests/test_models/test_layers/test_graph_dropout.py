# Copyright (c) group_wsss contributors. All rights reserved.
import math

import pytest
import torch

from group_wsss.models import GraphDropout
from group_wsss.utils.errors import InputError


def plain_dropout(nodes, drop, threshold):
    """Position by position; ``drop`` is one choice for each image."""
    out = nodes.clone()
    for b in range(nodes.shape[0]):
        mean = nodes[b].mean(0)
        peak = mean.max().item()
        for y in range(nodes.shape[2]):
            for x in range(nodes.shape[3]):
                a = mean[y, x].item()
                if drop[b]:
                    s = 1.0 if a < threshold * peak else 0.0
                else:
                    s = 1 / (1 + math.exp(-a))
                out[b, :, y, x] = (nodes[b, :, y, x] * s + nodes[b, :, y, x])
    return out / 2


@pytest.mark.parametrize('drop_prob', [0.0, 1.0])
@pytest.mark.parametrize('threshold', [0.0, 0.7, 1.0])
@pytest.mark.parametrize('shift', [0.0, -5.0])
def test_against_loop(drop_prob, threshold, shift):
    nodes = torch.randn(3, 2, 4, 5, dtype=torch.double) + shift
    layer = GraphDropout(drop_prob, threshold).train()
    want = plain_dropout(nodes, [drop_prob == 1] * 3, threshold)
    torch.testing.assert_close(layer(nodes), want)


def test_identity_in_eval():
    nodes = torch.randn(2, 3, 4, 4)
    feats = (nodes, nodes)
    assert GraphDropout().eval()(feats) is feats
    active = GraphDropout(1.0, active_in_eval=True).eval()
    assert not torch.equal(active(nodes), nodes)
    first, last = active(feats)  # the last one alone is changed
    assert first is nodes and not torch.equal(last, nodes)


@pytest.mark.parametrize('coin', ['call', 'sample'])
def test_coin(coin):
    nodes = torch.rand(64, 1, 2, 2) + 0.5
    layer = GraphDropout(0.5, 0.7, coin=coin).train()
    dropped = plain_dropout(nodes, [True] * 64, 0.7)
    kinds = []
    for _ in range(40):
        same = (layer(nodes) - dropped).abs().flatten(1).amax(1) < 1e-6
        kinds.append(same.float().mean().item())
    if coin == 'call':
        assert set(kinds) == {0.0, 1.0}
    else:
        assert all(0.1 < share < 0.9 for share in kinds)
    assert 0.25 < sum(kinds) / 40 < 0.75


def test_padding_does_not_decide():
    nodes = torch.tensor([[[[1.0, 0.7, 0.6, 9.0]]]])
    valid = torch.tensor([[[True, True, True, False]]])
    out = GraphDropout(1.0, 0.7).train()(nodes, valid)
    # 0.7 is the threshold itself and is halved, not zeroed
    torch.testing.assert_close(out[..., :3],
                               torch.tensor([[[[0.5, 0.35, 0.6]]]]))


@pytest.mark.parametrize('wrong', [
    dict(drop_prob=1.5),
    dict(drop_threshold=-0.1),
    dict(coin='image'),
])
def test_config_errors(wrong):
    with pytest.raises(InputError, match=list(wrong)[0]):
        GraphDropout(**wrong)
