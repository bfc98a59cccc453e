# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F

from group_wsss.models import CoAttentionGNN

NECKS = dict(
    gru=dict(),
    concat=dict(aggregation='concat', group_size=3),
    group=dict(
        update='mix',
        gamma_init=0.5,
        dropout=None,
        coattention=dict(softmax='group', gate=False)),
    narrow=dict(channels=6, zero_init=False, self_edge=True))


@pytest.mark.parametrize('padded', [False, True])
@pytest.mark.parametrize('name', list(NECKS))
def test_anchors_are_those_of_a_full_pass(name, padded):
    neck = CoAttentionGNN(8, num_steps=2, **NECKS[name]).eval()
    x = torch.randn(6, 8, 5, 4)
    mask = None
    if padded:
        mask = torch.ones(6, 5, 4, dtype=torch.bool)
        mask[1, 3:] = False
    full = neck.propagate(x, 3, mask)
    cheap = neck.propagate(x, 3, mask, anchors_only=True)
    assert cheap.shape == full.shape
    torch.testing.assert_close(cheap[::3], full[::3])
    # the others skip the last round, or nothing would be saved
    assert not torch.allclose(cheap[1], full[1])


def test_last_round_has_one_receiver_a_group(monkeypatch):
    asked, inner = [], F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, 'scaled_dot_product_attention',
        lambda q, *a, **k: asked.append(q.shape[:2]) or inner(q, *a, **k))
    neck = CoAttentionGNN(8, num_steps=2).eval()
    neck.propagate(torch.randn(8, 8, 3, 3), 4, anchors_only=True)
    # receivers of both groups, senders
    assert asked == [(2 * 4, 3), (2 * 1, 3)]
