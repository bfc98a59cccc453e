# Copyright (c) group_wsss contributors. All rights reserved.
"""The released code's forward pass, derived again with plain loops."""
import pytest
import torch
import torch.nn as nn
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample

K, T, CLASSES = 3, 3, 20
LABELS = [[3, 14], [3], []]


def build_model() -> nn.Module:
    """The released design on a small backbone."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='group_wsss.GroupCAM',
            backbone=nn.Sequential(
                nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU()),
            neck=dict(
                type='group_wsss.CoAttentionGNN',
                in_channels=6,
                group_size=K,
                projection=dict(num_convs=3, channels=8, num_classes=CLASSES),
                num_steps=T,
                aggregation='concat',
                coattention=dict(bias=True),
                dropout=dict(
                    type='group_wsss.GraphDropout',
                    drop_prob=0.8,
                    drop_threshold=0.7,
                    coin='sample')),
            head=dict(
                type='group_wsss.GroupCAMHead',
                in_channels=None,
                num_classes=CLASSES,
                # the sum over both branches and three images, divided by 6
                cam_weight=0.2,
                graph_weight=0.5)))
    model.neck.projection.init_weights()
    # maps of some size, so that gate, softmax and tanh have work to do
    nn.init.normal_(model.neck.projection.classifier.weight, std=1.0)
    return model.double().train()


def throw(monkeypatch, coins):
    """Let ``torch.rand`` give a coin for every node, round by round."""
    rounds = iter(coins)

    def rand(size, **kwargs):
        # at inference the last round is that of the anchor alone
        thrown = next(rounds)[:size[0]]
        return torch.tensor(thrown, dtype=torch.double).view(size)

    monkeypatch.setattr(torch, 'rand', rand)


def plain_forward(model, images, coins):
    """Image by image, pair by pair, step by step."""
    neck = model.neck
    read = neck.projection
    layer = neck.coattention
    cams = []
    for image in images:
        x = model.backbone(image[None])
        for conv in (read.convs[0], read.convs[2], read.convs[4]):
            x = torch.relu(conv(x))
        cams.append(read.classifier(x)[0])
    states, (h, w) = list(cams), cams[0].shape[1:]
    for thrown in coins:
        new = []
        for i in range(K):
            query = torch.einsum('dc,chw->dhw', layer.query.weight[..., 0, 0],
                                 states[i]).flatten(1)
            query = query + layer.query.bias[:, None]
            messages = []
            for j in range(K):
                if j == i:
                    continue
                key = torch.einsum('dc,chw->dhw', layer.key.weight[..., 0, 0],
                                   states[j]).flatten(1)
                key = key + layer.key.bias[:, None]
                energy = torch.einsum('dn,dm->nm', query, key)
                weight = torch.exp(energy - energy.max(1, keepdim=True)[0])
                weight = weight / weight.sum(1, keepdim=True)
                message = torch.einsum('nm,cm->cn', weight,
                                       states[j].flatten(1)).view(-1, h, w)
                gate = 1 / (1 + torch.exp(-torch.einsum(
                    'oc,chw->ohw', layer.gate.weight[..., 0, 0], message)))
                messages.append(gate * message)
            m = neck.merge(torch.cat(messages)[None])[0]
            new.append(gru_and_dropout(neck.gru, m, states[i], thrown[i]))
        states = new
    return torch.stack(cams), torch.stack(states)


def gru_and_dropout(gru, m, h, coin):

    def conv(part, *inputs):
        weight = part.weight[..., 0, 0]
        out = torch.einsum('dc,chw->dhw', weight, torch.cat(inputs))
        return out + part.bias[:, None, None]

    z = torch.sigmoid(conv(gru.update_gate, m, h))
    r = torch.sigmoid(conv(gru.reset_gate, m, h))
    c = torch.tanh(conv(gru.candidate, m, r * h))
    h = (1 - z) * h + z * c
    mean = h.sum(0) / len(h)
    if coin < 0.8:
        select = (mean < 0.7 * mean.max()).double()
    else:
        select = 1 / (1 + torch.exp(-mean))
    return (h * select + h) / 2


def plain_loss(cams, states):
    """Multi-label soft margin on both branches, divided by 6."""
    total = 0
    for i, labels in enumerate(LABELS):
        for maps, weight in ((cams[i], 0.4), (states[i], 1.0)):
            loss = 0
            for c in range(CLASSES):
                score = maps[c].mean()
                p = 1 / (1 + torch.exp(-score))
                loss = loss - torch.log(p if c in labels else 1 - p)
            total = total + weight * loss / CLASSES
    return total / 6


# nodes of one round throw coins of their own
COINS = [[(.1, .2, .3)] * T, [(.9, .95, .85)] * T,
         [(.1, .9, .5), (.9, .3, .9), (.2, .9, .7)]]


@pytest.mark.parametrize('coins', COINS)
def test_maps_loss_and_gradients(monkeypatch, coins):
    model = build_model()
    images = torch.randn(K, 3, 14, 18, dtype=torch.double, requires_grad=True)
    throw(monkeypatch, coins)
    maps, group_maps = model(images, mode='tensor')
    monkeypatch.undo()
    cams, states = plain_forward(model, images, coins)
    close = dict(atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(maps, cams, **close)
    torch.testing.assert_close(group_maps, states, **close)
    assert (group_maps - maps).abs().max() > 0.1

    samples = [DataSample().set_gt_label(x) for x in LABELS]
    throw(monkeypatch, coins)
    losses = model(images, samples, mode='loss')
    loss, want = sum(losses.values()), plain_loss(cams, states)
    torch.testing.assert_close(loss, want.to(loss.dtype), **close)
    names, parameters = zip(*model.named_parameters())
    got = torch.autograd.grad(loss, (images, ) + parameters)
    wanted = torch.autograd.grad(want, (images, ) + parameters)
    for name, a, b in zip(('images', ) + names, got, wanted):
        if name == 'neck.coattention.key.bias':
            # adds the same to all scores of a softmax
            assert a.abs().max() < 1e-9
            continue
        assert b.abs().max() > 0, name
        # relative to the largest of its tensor: some are tiny
        assert (a - b).abs().max() < 1e-5 * b.abs().max().clamp(min=1), name
        assert (a - b).abs().max() < 1e-3 * b.abs().max(), name
