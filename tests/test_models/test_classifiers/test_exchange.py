# Copyright (c) group_wsss contributors. All rights reserved.
"""Class maps that are exchanged instead of features: the same numbers."""
import copy

import pytest
import torch
import torch.nn as nn

from group_wsss.models.heads import GroupCAMHead
from group_wsss.models.layers import CoAttention
from group_wsss.models.necks import CoAttentionGNN
from group_wsss.utils.errors import InputError

LABELS = [[1, 3], [0, 1], [0], [4, 1], [2], [1]]


def build(make, coattention=(), neck=(), **kwargs):
    model = make.cam(make.mixed(coattention, **dict(neck)), **kwargs)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    model.backbone.eval()
    return model.double()


def batch(make, k, padded=False):
    images = torch.randn(6, 3, 12, 16, dtype=torch.double)
    samples = make.samples(k, LABELS)
    for i, sample in enumerate(samples if padded else []):
        height = 12 - 4 * (i % 2)
        sample.set_metainfo(dict(valid_shape=(height, 16)))
        images[i, :, height:] = 0
    return images, samples


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
def test_it_changes_nothing(make, monkeypatch, coattention, neck, k, padded):
    model = build(make, coattention, neck)
    images, samples = batch(make, k, padded=padded)
    got = run(model, images, samples)
    feats = copy.deepcopy(model).train().extract_feat(images, samples)
    assert feats.after.shape == feats.class_maps.shape == (6, 5, 6, 8)
    monkeypatch.setattr(GroupCAMHead, 'reads_averages', False)
    torch.testing.assert_close(got, run(model, images, samples))
    assert model.extract_feat(images, samples).class_maps is None


def test_images_beyond_the_last_group(make):
    model = build(make)
    images, samples = batch(make, 3)
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


@pytest.mark.parametrize(
    'options',
    [
        dict(neck=dict(num_steps=2)),
        dict(neck=dict(num_steps=0)),
        dict(neck=dict(update='residual')),
        dict(neck=dict(update='gru')),
        dict(neck=dict(channels=4)),
        dict(neck=dict(dropout=dict(type='group_wsss.GraphDropout'))),
        dict(coattention=dict(gate=True)),
        # weights of three sum to three
        dict(coattention=dict(softmax='sender'), neck=dict(aggregation='sum')),
        dict(head=dict(share_classifier=False)),
        dict(head=dict(recam=dict())),
    ])
def test_where_it_would_not_be_the_same(make, options):
    model = build(make, **options)
    assert not (model.neck.is_average and model.head.reads_averages)
    assert model.extract_feat(*batch(make, 3)).class_maps is None


def test_own_classes(make):
    model = build(make)
    assert model.neck.is_average and model.head.reads_averages
    model.neck.coattention.__class__ = OwnAttention
    assert not model.neck.is_average
    model = build(make)
    model.neck.__class__ = OwnGraph
    after = model.extract_feat(*batch(make, 3)).after
    torch.testing.assert_close(after.norm(dim=1), torch.ones_like(after[:, 0]))
    # the head tells of maps that it cannot read
    model = build(make)
    model.head.in_channels = 6
    with pytest.raises(InputError, match='in_channels of GroupCAMHead is 6'):
        model.loss(*batch(make, 3))
