# Copyright (c) group_wsss contributors. All rights reserved.
"""Class maps that are exchanged instead of features: the same numbers."""
import copy

import pytest
import torch
import torch.nn as nn
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample

import group_wsss.contrib.recam  # noqa: F401
from group_wsss.models.heads import GroupCAMHead
from group_wsss.models.layers import CoAttention
from group_wsss.models.necks import CoAttentionGNN
from group_wsss.utils.errors import InputError

LABELS = [[1, 3], [0, 1], [0], [4, 1], [2], [1]]


def build(coattention=(), neck=(), head=()):
    torch.manual_seed(0)
    attention = dict(
        key='whitened',
        key_channels=4,
        normalize=True,
        scale=5.0,
        gate=False,
        softmax='group')
    options = dict(num_steps=1, update='mix', gamma_init=0.7, dropout=None)
    model = MODELS.build(
        dict(
            type='group_wsss.GroupCAM',
            backbone=nn.Conv2d(3, 8, 3, stride=2, padding=1),
            neck=dict(
                type='group_wsss.CoAttentionGNN',
                in_channels=8,
                coattention={
                    **attention,
                    **dict(coattention)
                },
                **{
                    **options,
                    **dict(neck)
                }),
            head={
                'type': 'group_wsss.GroupCAMHead',
                'in_channels': 8,
                'num_classes': 5,
                **dict(head)
            }))
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    return model.double()


def batch(k, number=6, padded=False):
    images = torch.randn(
        number, 3, 12, 16, generator=torch.Generator().manual_seed(1))
    samples = []
    for i in range(number):
        sample = DataSample(metainfo=dict(group_slot=i % k))
        if padded:
            height = 12 - 4 * (i % 2)
            sample.set_metainfo(dict(valid_shape=(height, 16)))
            images[i, :, height:] = 0
        samples.append(sample.set_gt_label(LABELS[i]))
    return images.double(), samples


def run(model, *args):
    """Losses, gradients and what a prediction shows."""
    model = copy.deepcopy(model).train()
    losses = model(*args, mode='loss')
    sum(losses.values()).backward()
    grads = {k: p.grad for k, p in model.named_parameters()}
    with torch.no_grad():
        shown = model.eval()(*args, mode='predict')
    return losses, grads, [s.class_maps
                           for s in shown], [s.pred_score for s in shown]


@pytest.mark.parametrize('coattention, neck, k, padded', [
    (dict(key='contrast'), dict(aggregation='sum'), 3, False),
    (dict(softmax='sender'), {}, 3, True),
    (dict(pool_size=2), {}, 3, True),
    ({}, dict(self_edge=True), 2, True),
    ({}, dict(projection=dict(num_convs=1, channels=8)), 3, False),
    (dict(key='learned'), dict(with_cp=True), 2, False),
])
def test_it_changes_nothing(monkeypatch, coattention, neck, k, padded):
    model = build(coattention, neck)
    images, samples = batch(k, padded=padded)
    got = run(model, images, samples)
    feats = model.train().extract_feat(images, samples)
    assert feats.class_maps is not None
    assert feats.after.shape == feats.class_maps.shape == (6, 5, 6, 8)
    monkeypatch.setattr(GroupCAMHead, 'reads_averages', False)
    want = run(model, *batch(k, padded=padded))
    assert model.extract_feat(images, samples).class_maps is None
    torch.testing.assert_close(got, want)


def test_images_beyond_the_last_group(monkeypatch):
    model = build()
    images, samples = batch(3)
    model.train()(images, samples, mode='loss')
    model.eval()
    feat = model.neck.project(model.backbone(images[:5]))
    values = model.head.classifier(feat)
    got = model.neck.propagate(feat, 3, values=values)
    torch.testing.assert_close(
        got, model.head.classifier(model.neck.propagate(feat, 3)))
    assert torch.equal(got[3:], values[3:])
    anchors = model.neck.propagate(feat, 3, None, True, values)
    torch.testing.assert_close(anchors[0], got[0])
    assert torch.equal(anchors[1:], values[1:])
    assert model.neck.propagate(feat, 1, values=values) is values


class OwnGraph(CoAttentionGNN):
    """Does more to features, and knows no values."""

    def propagate(self, x, group_size, key_mask=None, anchors_only=False):
        out = super().propagate(x, group_size, key_mask, anchors_only)
        return nn.functional.normalize(out, dim=1)


class OwnAttention(CoAttention):
    """May do with what is sent what it likes."""


def test_where_it_would_not_be_the_same():
    assert build().neck.is_average
    for neck in (dict(num_steps=2), dict(num_steps=0), dict(update='residual'),
                 dict(update='gru'), dict(channels=4),
                 dict(dropout=dict(type='group_wsss.GraphDropout')),
                 dict(coattention=dict(gate=True))):
        model = build(neck.pop('coattention', ()), neck)
        assert not model.neck.is_average
        assert model.extract_feat(*batch(3)).class_maps is None
    # weights of three sum to three
    assert not build(dict(softmax='sender'),
                     dict(aggregation='sum')).neck.is_average
    model = build()
    model.neck.coattention.__class__ = OwnAttention
    assert not model.neck.is_average
    model = build()
    model.neck.__class__ = OwnGraph
    images, samples = batch(3)
    after = model.extract_feat(images, samples).after
    torch.testing.assert_close(after.norm(dim=1), torch.ones_like(after[:, 0]))
    # the head tells of maps that it cannot read
    model = build()
    model.head.in_channels = 6
    with pytest.raises(InputError, match='in_channels of GroupCAMHead is 6'):
        model.loss(*batch(3))
    for head in (dict(share_classifier=False),
                 dict(type='group_wsss.ReCAMHead')):
        model = build(head=head)
        assert not model.head.reads_averages
        assert model.extract_feat(*batch(3)).class_maps is None
