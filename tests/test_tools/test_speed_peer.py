# Copyright (c) group_wsss contributors. All rights reserved.
"""The peer of the speed tables computes what our modules compute."""
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from group_wsss.models import CoAttentionGNN
from group_wsss.structures.label_image import voc_palette

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'


@pytest.fixture(scope='module', autouse=True)
def on_path():
    """The commands import each other by name."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize('drop_prob', [0.0, 1.0])
@pytest.mark.parametrize('options', [
    dict(),
    dict(coattention=dict(normalize=True, scale=10.0)),
    dict(aggregation='sum', coattention=dict(gate=False, key_channels=3)),
    dict(aggregation='concat'),
    dict(channels=4, zero_init=False),
])
def test_graph(options, drop_prob):
    from peer import peer_graph
    torch.manual_seed(0)
    neck = CoAttentionGNN(
        6,
        num_steps=3,
        group_size=3,
        dropout=dict(type='group_wsss.GraphDropout', drop_prob=drop_prob),
        **options).train()
    x = torch.randn(3, 6, 5, 7, requires_grad=True)
    out = neck((x, ))[-1]
    weight = torch.randn_like(out)
    (out * weight).sum().backward()
    grads = [x.grad] + [p.grad.clone() for p in neck.parameters()]
    x.grad = None
    neck.zero_grad()
    states = torch.cat(peer_graph(neck, x.split(1)))
    torch.testing.assert_close(states, out, atol=1e-5, rtol=1e-5)
    (states * weight).sum().backward()
    peers = [x.grad] + [p.grad for p in neck.parameters()]
    for mine, other in zip(grads, peers):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_step():
    from mmpretrain.structures import DataSample
    from peer import peer_loss, peer_maps
    from speed_step import PAPER, build
    torch.manual_seed(0)
    dropout = dict(type='group_wsss.GraphDropout', drop_prob=1.0)
    model = build('group_cam_effnet-lite0', **{**PAPER, 'dropout': dropout})
    # statistics of a batch of one are others
    model.backbone.eval()
    torch.nn.init.normal_(model.neck.expand.weight, std=0.01)
    images = torch.randn(3, 3, 48, 64)
    labels = [[0], [3, 5], [19]]
    samples = [
        DataSample(metainfo=dict(group_slot=i)).set_gt_label(ids)
        for i, ids in enumerate(labels)
    ]
    losses = model(images, samples, mode='loss')
    maps, group_maps = model(images, samples)
    before, after = peer_maps(model, images.split(1))
    close = dict(atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.cat(before), maps, **close)
    torch.testing.assert_close(torch.cat(after), group_maps, **close)
    targets = torch.zeros(3, 20)
    for row, ids in zip(targets, labels):
        row[ids] = 1
    torch.testing.assert_close(
        peer_loss(model, before, after, targets), sum(losses.values()),
        **close)


def test_partners():
    from peer import peer_partners
    sets = [{0}, {0}, {0, 1}, {1}, {0}, {2}]
    rng = random.Random(0)
    seen = {i for _ in range(50) for i in peer_partners(sets, 0, 2, rng)}
    assert seen == {0, 1, 4}
    # nobody else has the set: a class in common, the anchor itself at times
    seen = {i for _ in range(9) for i in peer_partners(sets, 2, 2, rng)}
    assert seen == {2} or seen <= {0, 1, 2, 3, 4}


def test_labels(tmp_path):
    from speed_dump import agreement, make_samples, ours, peers
    samples = make_samples(4, seed=0)
    folders = [str(tmp_path / name) for name in ('ours', 'memory', 'files')]
    ours(samples, folders[0])
    peers(samples, folders[1], False)
    peers(samples, folders[2], True)
    assert agreement(samples, folders[0], folders[1]) == 1
    # maps of 8 bits
    assert 0.99 < agreement(samples, folders[0], folders[2]) < 1


def test_map_files_are_merged(tmp_path):
    from peer import peer_label, peer_write_maps
    maps = np.zeros((1, 4, 4), np.float32)
    for row in (0, 2):
        maps[:] = 0
        maps[0, row] = 3.0
        peer_write_maps(str(tmp_path), 'a', [6], maps)
    label = peer_label('a', (4, 4), [6], 20, 0.5, voc_palette(),
                       str(tmp_path / 'a.png'), str(tmp_path))
    assert label.tolist() == [[7] * 4, [0] * 4, [7] * 4, [0] * 4]
