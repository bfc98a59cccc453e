# Copyright (c) group_wsss contributors. All rights reserved.
import math

import pytest
import torch

from group_wsss.models import AffinityHead, AffinityLoss
from group_wsss.utils.pairs import pair_offsets

NAMES = ('background', 'foreground', 'different')


def loss_of(embedding, labels, radius, **kwargs):
    return AffinityLoss(**kwargs)(
        lambda offset: AffinityHead.log_affinity(embedding, offset), labels,
        pair_offsets(radius))


def by_loops(embedding, labels, radius, weights):
    """Every unordered pair of cells within the radius."""
    values = {name: [] for name in NAMES}
    count, height, width = labels.shape
    cells = [(y, x) for y in range(height) for x in range(width)]
    for b in range(count):
        for i, (y, x) in enumerate(cells):
            for v, u in cells[i + 1:]:
                if math.hypot(y - v, x - u) >= radius:
                    continue
                one, other = int(labels[b, y, x]), int(labels[b, v, u])
                if 255 in (one, other):
                    continue
                gap = (embedding[b, :, y, x] - embedding[b, :, v, u]).abs()
                affinity = math.exp(-float(gap.mean()))
                if one != other:
                    value = -math.log(max(1 - affinity, 1e-5))
                    values['different'].append(value)
                else:
                    name = 'foreground' if one else 'background'
                    values[name].append(-math.log(affinity))
    return {
        f'loss_{name}': weight * sum(values[name]) / max(len(values[name]), 1)
        for name, weight in zip(NAMES, weights)
    }


@pytest.mark.parametrize('radius, spread, weights', [
    (2, 1, (.25, .25, .5)),
    (5, 1, (.25, .25, .5)),
    (3, 1e-6, (1., 2., 3.)),
])
def test_against_loops(radius, spread, weights):
    embedding = spread * torch.randn(2, 3, 5, 6)
    labels = torch.tensor([0, 0, 1, 2, 255])[torch.randint(5, (2, 5, 6))]
    options = {}
    if radius == 3:  # else the defaults
        options = {f'{n}_weight': w for n, w in zip(NAMES, weights)}
    got = loss_of(embedding, labels, radius, **options)
    wanted = by_loops(embedding, labels, radius, weights)
    assert list(got) == list(wanted)
    for name, value in wanted.items():
        assert value > 0
        assert float(got[name]) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize('label, absent', [(0, NAMES[1:]), (255, NAMES),
                                           (3, ('background', 'different'))])
def test_a_kind_without_pairs_adds_nothing(label, absent):
    embedding = torch.randn(1, 3, 4, 4, requires_grad=True)
    losses = loss_of(embedding, torch.full((1, 4, 4), label), 3)
    for name in NAMES:
        assert (losses[f'loss_{name}'].item() == 0) == (name in absent)
    # of equal cells, too
    same = embedding * 0
    labels = torch.arange(16).reshape(1, 4, 4) % 3
    losses.update({f'{k}2': v for k, v in loss_of(same, labels, 3).items()})
    sum(losses.values()).backward()
    assert torch.isfinite(embedding.grad).all()
