# Copyright (c) group_wsss contributors. All rights reserved.
import math

import pytest
import torch
import torch.nn.functional as F

from group_wsss.models.losses import ScoreWeightedCrossEntropy
from group_wsss.utils.errors import InputError


@pytest.mark.parametrize('power', [0.5, 1.0, 2.0])
def test_equals_plain_loop(power):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, dtype=torch.double)
    label = torch.randint(0, 3, (2, 4, 5))
    label[0, 1] = 255
    soft = torch.rand(2, 3, 4, 5, dtype=torch.double)
    soft = soft / soft.sum(1, keepdim=True)
    soft[1, :, 2] = 0  # no scores, though there is a label
    total = weights = 0.
    for b, y, x in torch.nonzero(label != 255).tolist():
        if (b, y) == (1, 2):
            continue
        numbers = [math.exp(v) for v in logits[b, :, y, x].tolist()]
        t = label[b, y, x].item()
        weight = soft[b, t, y, x].item()**power
        total -= weight * math.log(numbers[t] / sum(numbers))
        weights += weight
    got = ScoreWeightedCrossEntropy(power)(logits, label, soft_label=soft)
    assert got.item() == pytest.approx(total / weights)
    # scores low everywhere do not lower the learning rate
    low = ScoreWeightedCrossEntropy(power)(logits, label, soft_label=soft / 9)
    torch.testing.assert_close(low, got)


def test_power_zero_is_cross_entropy():
    torch.manual_seed(0)
    logits, label = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    soft = torch.rand(1, 3, 4, 4) + 0.1
    torch.testing.assert_close(
        ScoreWeightedCrossEntropy(0.)(logits, label, soft_label=soft),
        F.cross_entropy(logits, label))


def test_a_label_without_score_counts_nothing():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    label = torch.tensor([[[0, 1], [2, 2]]])
    soft = torch.zeros(1, 3, 2, 2)
    soft[:, 0] = 1.  # all background, as after a refiner that changed labels
    ScoreWeightedCrossEntropy()(logits, label, soft_label=soft).backward()
    assert logits.grad[:, :, 0, 0].any()
    assert not logits.grad[:, :, 0, 1].any() and not logits.grad[:, :, 1].any()


def test_wrong_options():
    with pytest.raises(InputError, match='power'):
        ScoreWeightedCrossEntropy(-1.)
