# Copyright (c) group_wsss contributors. All rights reserved.
import math

import pytest
import torch

from group_wsss.models.losses import BootstrappedCrossEntropy
from group_wsss.utils.errors import InputError


def plain(logits, label, mode, beta):
    """The two losses of Reed et al., pixel by pixel."""
    values = []
    for b, y, x in torch.nonzero(label != 255).tolist():
        numbers = [math.exp(v) for v in logits[b, :, y, x].tolist()]
        q = [v / sum(numbers) for v in numbers]
        total = 0.
        for k, share in enumerate(q):
            own = share
            if mode == 'hard':
                own = float(share == max(q))
            t = float(k == label[b, y, x])
            total -= (beta * t + (1 - beta) * own) * math.log(share)
        values.append(total)
    return sum(values) / len(values)


@pytest.mark.parametrize('mode, beta, used', [
    ('hard', None, 0.8),
    ('soft', None, 0.95),
    ('hard', 0.3, 0.3),
    ('soft', 0.3, 0.3),
    ('soft', 0., 0.),
])
def test_equals_plain_loop(mode, beta, used):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, dtype=torch.double)
    label = torch.randint(0, 3, (2, 4, 5))
    label[0, 1:3] = 255
    got = BootstrappedCrossEntropy(mode, beta)(logits, label)
    assert got.item() == pytest.approx(plain(logits, label, mode, used))
    if used == 0:  # the label has no say: the entropy of the prediction
        other = BootstrappedCrossEntropy(mode, beta)(logits,
                                                     torch.where(
                                                         label == 255, label,
                                                         (label + 1) % 3))
        torch.testing.assert_close(other, got)


def test_another_ignore_index():
    logits = torch.randn(1, 3, 2, 2)
    label = torch.tensor([[[0, 1], [2, 0]]])
    loss = BootstrappedCrossEntropy()
    want = loss(logits, torch.where(label == 2, 255, label))
    torch.testing.assert_close(loss(logits, label, ignore_index=2), want)


@pytest.mark.parametrize('options', [
    dict(mode='warm'),
    dict(beta=1.1),
    dict(beta=-0.1),
    dict(beta=float('nan'))
])
def test_wrong_options(options):
    with pytest.raises(InputError, match='BootstrappedCrossEntropy'):
        BootstrappedCrossEntropy(**options)
