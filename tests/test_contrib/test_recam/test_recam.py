# Copyright (c) group_wsss contributors. All rights reserved.
import math

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from group_wsss.contrib.recam import ReCAMHead, ReCAMLoss
from group_wsss.models import GroupCAMHead
from group_wsss.models.utils import GroupMaps
from group_wsss.utils.errors import InputError

LABELS = [[1, 3], [], [0], [4, 4]]
TARGET = torch.tensor([[1., 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]])


def plain(maps, features, weight, target, valid=None):
    """The paper's order: pool features, then classify; loops."""
    total = 0.
    for i in range(len(maps)):
        present = [c for c in range(maps.shape[1]) if target[i, c]]
        cells = [(y, x) for y, x in np.ndindex(maps.shape[2:])
                 if valid is None or valid[i, y, x]]
        for c in present:
            pooled = torch.zeros(features.shape[1], dtype=maps.dtype)
            peak = max(max(maps[i, c, y, x].item(), 0) for y, x in cells)
            for y, x in cells:
                share = max(maps[i, c, y, x].item(), 0) / (peak + 1e-5)
                pooled += share * features[i, :, y, x] / len(cells)
            logits = weight @ pooled
            lse = math.log(sum(math.exp(v) for v in logits.tolist()))
            total += (lse - logits[c].item()) / len(present)
    return total / len(maps)


def draw():
    torch.manual_seed(0)
    maps = torch.randn(3, 4, 5, 6)
    features = torch.randn(3, 7, 5, 6) * 3
    weight = torch.randn(4, 7)
    scores = torch.einsum('kd,bdhw->bkhw', weight, features)
    return maps, features, weight, scores


@pytest.mark.parametrize('masked', [False, True])
def test_against_loop(masked):
    maps, features, weight, scores = draw()
    valid = None
    if masked:
        valid = torch.zeros(3, 5, 6, dtype=torch.bool)
        valid[:, :3, :4] = True
        valid[0] = True
        maps[2, :, 4] = 100  # on padding
    got = ReCAMLoss()(maps, scores, TARGET, valid)
    want = plain(maps, features, weight, TARGET, valid)
    assert abs(got.item() - want) < 1e-5
    half = ReCAMLoss(loss_weight=0.5)(maps, scores, TARGET, valid)
    torch.testing.assert_close(half, got / 2)


def test_no_class_and_soft_labels():
    maps, _, _, scores = draw()
    loss = ReCAMLoss()
    # an image without classes counts nothing, and is no error
    nothing = loss(maps.requires_grad_(), scores, torch.zeros(3, 4))
    nothing.backward()
    assert nothing == 0 and not maps.grad.any()
    maps, scores = maps[:1], scores[:1]
    one, other = (loss(maps, scores, torch.eye(4)[c:c + 1]) for c in (0, 2))
    both = loss(maps, scores, torch.tensor([[0.75, 0, 0.25, 0]]))
    torch.testing.assert_close(both, 0.75 * one + 0.25 * other)


@pytest.mark.parametrize('detach', [False, True])
def test_who_learns(detach):
    maps, _, _, scores = draw()
    maps.requires_grad_(), scores.requires_grad_()
    loss = ReCAMLoss(detach=detach)(maps, scores, TARGET)
    grads = torch.autograd.grad(loss, (maps, scores), allow_unused=True)
    assert (grads[0] is None) == detach and grads[1].any()


def test_all_zero_maps_are_finite():
    maps = torch.zeros(3, 4, 1, 1, requires_grad=True)
    out = ReCAMLoss()(maps, torch.randn(3, 4, 1, 1), TARGET)
    out.backward()
    # every class is as good as every other
    torch.testing.assert_close(out.item(), math.log(4) * 2 / 3)
    assert torch.isfinite(maps.grad).all()
    with pytest.raises(InputError, match="map_source .*'best'"):
        ReCAMLoss(map_source='best')


@pytest.mark.parametrize('source', ['product', 'sum', 'softmax', 'cam'])
@pytest.mark.parametrize('share', [True, False])
def test_shown_maps(source, share):
    head = ReCAMHead(
        4, 5, recam=dict(map_source=source), share_classifier=share)
    added = {n for n, _ in head.named_parameters() if 'recam' in n}
    assert added == {'recam_classifier.weight'}
    x, node = torch.randn(2, 4, 4, 3, 6)
    second = head.recam_classifier.weight[:, :, 0, 0]
    after = head.classifier if share else head.graph_classifier
    shown = []
    for feat, first in ((x, head.classifier), (node, after)):
        weight = first.weight[:, :, 0, 0]
        weight = dict(
            product=weight * second, sum=weight + second,
            softmax=second).get(source)
        shown.append(
            first(feat) if weight is
            None else torch.einsum('kd,bdhw->bkhw', weight, feat))
    for name, want in (('cam', shown[0]), ('graph', shown[1]),
                       ('mean', (shown[0] + shown[1]) / 2)):
        out = head.predict(
            GroupMaps(x, node), [DataSample().set_gt_label(x) for x in LABELS],
            map_source=name)
        torch.testing.assert_close(out[0].class_maps,
                                   want[0, [1, 3]].clamp(min=0))
        # scores are those of the first classifier
        torch.testing.assert_close(out[0].pred_score,
                                   after(node)[0].mean((1, 2)).sigmoid())


def test_losses():
    options = dict(cam_weight=0.3, graph_weight=0.7)
    head = ReCAMHead(4, 5, recam=dict(loss_weight=0.5), **options)
    plain = GroupCAMHead(4, 5, **options)
    plain.load_state_dict(head.state_dict(), strict=False)
    x, node = torch.randn(2, 4, 4, 6, 7)
    data = [DataSample().set_gt_label(x) for x in LABELS]
    for sample in data:
        sample.set_metainfo(dict(map_shape=(4, 7)))
    valid = torch.ones(4, 6, 7, dtype=torch.bool)
    valid[:, 4:] = False
    target = torch.zeros(4, 5)
    for row, ids in enumerate(LABELS):
        target[row, ids] = 1
    losses = head.loss(GroupMaps(x, node), data)
    alone = head.loss(GroupMaps(x, x), data)
    assert set(alone) == {'loss_cam', 'loss_cam_recam'}
    want = plain.loss(GroupMaps(x, node), data)
    for name, feat in (('cam', x), ('graph', node)):
        weight = dict(cam=0.3, graph=0.7)[name]
        assert torch.equal(losses[f'loss_{name}'], want[f'loss_{name}'])
        recam = weight * head.recam(
            head.classifier(feat), head.recam_classifier(feat), target, valid)
        torch.testing.assert_close(losses[f'loss_{name}_recam'], recam)
    torch.testing.assert_close(alone['loss_cam_recam'],
                               losses['loss_cam_recam'] / 0.3)
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in head.parameters())
