# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.structures import DataSample

from group_wsss.models.classifiers.token_graph import TokenGraph
from group_wsss.structures import TokenBank
from group_wsss.utils.errors import InputError

DROPOUT = dict(type='group_wsss.GraphDropout')
KEYS = dict(softmax='sender', scale=9.0)


class FloatBank(TokenBank):
    dtype = np.float32


def seen(make, neck=(), coattention=(), **kwargs):
    """A model whose keys have seen images."""
    neck = make.mixed({**KEYS, **dict(coattention)}, **dict(neck))
    model = make.cam(neck, **kwargs)
    for weight in (*model.neck.parameters(), *model.head.parameters()):
        nn.init.normal_(weight)
    nodes = model.neck.project(model.backbone(torch.rand(4, 3, 16, 16)))
    model.neck.coattention.whiten.update(nodes)
    return model.eval()


def through_bank(model, images, pool_size, folder, cls, use_maps=True):
    """The anchor of a group whose partners are in a bank."""
    k = len(images)
    width = len(model.neck.coattention.whiten.weight) + 5
    bank = cls(str(folder), k, pool_size**2, width, 'f')
    bank.begin()
    bank.open()
    graph = TokenGraph(bank, pool_size, use_maps)
    for place in range(k):
        own = graph.own_maps(model, images[place][None], [DataSample()])[0]
        bank.write(place, graph.tokens(model, own).numpy())
        if use_maps:
            bank.write_map(place, own.numpy())
    sample = DataSample(
        metainfo=dict(group_slot=0, bank_places=tuple(range(k))))
    model.token_graph = graph
    found, = model.predict(images[:1], [sample.set_gt_label([1, 3])])
    model.token_graph = None
    return found


@pytest.mark.parametrize('case', [
    dict(coattention=dict(softmax='group')),
    dict(neck=dict(aggregation='sum')),
    dict(coattention=dict(normalize=False, scale=0.3, softmax='group')),
    dict(coattention=dict(key='contrast', softmax='group')),
    dict(head=dict(map_source='mean', pooling='topk')),
    dict(head=dict(bias=False, map_source='cam')),
    dict(logit=True),
])
@pytest.mark.parametrize('sizes', [[(12, 16)], [(12, 16), (16, 10)]])
def test_whole_maps_give_what_partners_give(make, case, sizes, tmp_path):
    model = seen(make, **case)
    images = [torch.rand(3, *sizes[i % len(sizes)]) for i in range(4)]
    if len(sizes) == 1:
        images = torch.stack(images)
    want, = model.predict(images, make.samples(4, [[1, 3]] * 4))
    for use_maps in (True, False):
        got = through_bank(model, images, 9, tmp_path / str(use_maps),
                           FloatBank, use_maps)
        for name in ('class_maps', 'pred_score', 'class_ids'):
            torch.testing.assert_close(
                got.get(name), want.get(name), atol=1e-5, rtol=1e-5)
    # rounded alike, whether the bank has the maps or not
    half, again = (
        through_bank(model, images, 9, tmp_path / f'half{use_maps}', TokenBank,
                     use_maps) for use_maps in (True, False))
    assert torch.equal(half.class_maps, again.class_maps)
    torch.testing.assert_close(
        half.class_maps, want.class_maps, atol=0.03, rtol=0.03)
    assert not torch.equal(half.class_maps, want.class_maps)


def test_cells_are_averages_by_a_plain_loop(make, tmp_path):
    model = seen(make, coattention=dict(softmax='group'))
    images = torch.rand(3, 3, 12, 16)
    got = through_bank(model, images, 3, tmp_path, FloatBank)
    with torch.no_grad():
        nodes = model.backbone(images)  # (3, 8, 6, 8)
        keys = model.neck.coattention.whiten(nodes)
        key, value = [], []
        for i in (1, 2):
            for row in range(3):
                for column in range(3):
                    # cells of 2 x 8 / 3: from its floor to its ceiling
                    left, right = 8 * column // 3, -(-8 * (column + 1) // 3)
                    cell = (i, slice(None), slice(2 * row, 2 * row + 2),
                            slice(left, right))
                    key.append(F.normalize(keys[cell].mean((1, 2)), dim=0))
                    value.append(nodes[cell].mean((1, 2)))
        after = nodes[0].clone()
        for row in range(6):
            for column in range(8):
                query = F.normalize(keys[0, :, row, column], dim=0)
                share = torch.stack([9.0 * query @ k for k in key]).softmax(0)
                message = sum(s * v for s, v in zip(share, value))
                after[:, row, column] = (0.3 * nodes[0, :, row, column] +
                                         0.7 * message)
        want = model.head.classifier(after[None])[0, [1, 3]].relu()
    torch.testing.assert_close(got.class_maps, want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('case, key', [
    (dict(num_steps=2), 'neck.num_steps'),
    (dict(num_steps=0), 'neck.num_steps'),
    (dict(update='gru'), 'neck.update'),
    (dict(channels=7), 'neck.channels'),
    (dict(self_edge=True), 'neck.self_edge'),
    (dict(
        aggregation='concat', group_size=3,
        coattention=dict(softmax='sender')), 'neck.aggregation'),
    (dict(dropout=dict(DROPOUT, active_in_eval=True)), 'neck.dropout'),
    (dict(coattention=dict(key='learned')), 'neck.coattention.key'),
    (dict(coattention=dict(gate=True)), 'neck.coattention.gate'),
    (dict(recam=dict()), 'head'),
    (dict(share_classifier=False), 'head.share_classifier'),
])
def test_what_is_not_linear_is_refused(make, case, key):
    if key.startswith('head'):
        model = make.cam(make.mixed(), head=case)
    else:
        model = make.cam(make.mixed(**case))
    with pytest.raises(InputError, match=rf'^model\.{key}.*token_bank=None$'):
        TokenGraph.check(model)
    for kind in (nn.Module, type('Own', (type(model.neck), ), {})):
        model.neck.__class__ = kind
        with pytest.raises(InputError, match=r'^model\.neck'):
            TokenGraph.check(model)
    # dropout of the training alone is no obstacle
    TokenGraph.check(make.cam(make.mixed(dropout=DROPOUT)))
