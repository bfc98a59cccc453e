# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn as nn
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample

from group_wsss.contrib.recam import ReCAMHead
from group_wsss.models import GroupCAMHead
from group_wsss.models.utils import GroupMaps

LABELS = [[1, 3], [], [0], [4, 4]]


def samples():
    return [DataSample().set_gt_label(x) for x in LABELS]


def targets():
    out = torch.zeros(4, 5)
    for row, ids in enumerate(LABELS):
        out[row, ids] = 1
    return out


def recam_head(source='product', **options):
    torch.manual_seed(0)
    return ReCAMHead(
        4, 5, recam=dict(loss_weight=0.5, map_source=source), **options)


@pytest.mark.parametrize('source', ['product', 'sum', 'softmax', 'cam'])
@pytest.mark.parametrize('share', [True, False])
def test_shown_maps(source, share):
    head = recam_head(source, share_classifier=share)
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
        out = head.predict(GroupMaps(x, node), samples(), map_source=name)
        torch.testing.assert_close(out[0].class_maps,
                                   want[0, [1, 3]].clamp(min=0))
        # scores are those of the first classifier
        torch.testing.assert_close(out[0].pred_score,
                                   after(node)[0].mean((1, 2)).sigmoid())


def test_losses():
    head = recam_head(cam_weight=0.3, graph_weight=0.7)
    plain = GroupCAMHead(4, 5, cam_weight=0.3, graph_weight=0.7)
    plain.load_state_dict(head.state_dict(), strict=False)
    x, node = torch.randn(2, 4, 4, 6, 7)
    data = samples()
    for sample in data:
        sample.set_metainfo(dict(map_shape=(4, 7)))
    valid = torch.ones(4, 6, 7, dtype=torch.bool)
    valid[:, 4:] = False
    losses = head.loss(GroupMaps(x, node), data)
    alone = head.loss(GroupMaps(x, x), data)
    assert set(alone) == {'loss_cam', 'loss_cam_recam'}
    want = plain.loss(GroupMaps(x, node), data)
    for name, feat in (('cam', x), ('graph', node)):
        weight = dict(cam=0.3, graph=0.7)[name]
        assert torch.equal(losses[f'loss_{name}'], want[f'loss_{name}'])
        recam = weight * head.recam(
            head.classifier(feat), head.recam_classifier(feat), targets(),
            valid)
        torch.testing.assert_close(losses[f'loss_{name}_recam'], recam)
    torch.testing.assert_close(alone['loss_cam_recam'],
                               losses['loss_cam_recam'] / 0.3)
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in head.parameters())


class Tuple(nn.Module):

    def forward(self, x):
        return (x, )


def test_in_a_stock_classifier():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type='mmpretrain.ImageClassifier',
                backbone=nn.Sequential(nn.Conv2d(3, 4, 3), Tuple()),
                head=dict(
                    type='group_wsss.ReCAMHead', in_channels=4,
                    num_classes=5)))
    x = torch.randn(4, 3, 8, 8)
    losses = model(x, samples(), mode='loss')
    assert set(losses) == {'loss_cam', 'loss_cam_recam'}
    score = model.head.classifier(model.backbone(x)[-1]).mean((2, 3))
    out = model(x, samples(), mode='predict')
    torch.testing.assert_close(out[0].pred_score, score[0].sigmoid())
