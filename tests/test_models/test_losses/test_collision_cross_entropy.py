# Copyright (c) group_wsss contributors. All rights reserved.
import math

import pytest
import torch

from group_wsss.models.losses import CollisionCrossEntropy, SoftCrossEntropy


def test_equals_plain_loop():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 2, 4, dtype=torch.double)
    soft = torch.rand(2, 3, 2, 4, dtype=torch.double)
    soft[:, 1, :, 0] = 0  # a class known to be absent
    soft = soft / soft.sum(1, keepdim=True)
    soft[1, :, 0, 1:3] = 0
    values = []
    for b in range(2):
        for y in range(2):
            for x in range(4):
                if (b, y) == (1, 0) and x in (1, 2):
                    continue
                numbers = [math.exp(v) for v in logits[b, :, y, x].tolist()]
                values.append(-math.log(
                    sum(soft[b, c, y, x].item() * n
                        for c, n in enumerate(numbers)) / sum(numbers)))
    got = CollisionCrossEntropy()(logits, soft_label=soft)
    assert got.item() == pytest.approx(sum(values) / 14)


def test_a_label_in_doubt_asks_nothing():
    torch.manual_seed(0)
    logits = torch.randn(1, 4, 3, 3, requires_grad=True)
    soft = torch.full((1, 4, 3, 3), 0.25)
    gradients = []
    for loss in (CollisionCrossEntropy(), SoftCrossEntropy()):
        value = loss(logits, soft_label=soft)
        gradients.append(torch.autograd.grad(value, logits)[0])
    torch.testing.assert_close(gradients[0], torch.zeros(1, 4, 3, 3))
    assert gradients[1].abs().max() > 0.01


def test_confident_and_wrong_is_finite():
    logits = torch.tensor([500., 0., 0.]).reshape(1, 3, 1, 1).requires_grad_()
    soft = torch.tensor([0., 1., 0.]).reshape(1, 3, 1, 1)
    value = CollisionCrossEntropy()(logits, soft_label=soft)
    assert value.item() == pytest.approx(500.)
    value.backward()
    torch.testing.assert_close(logits.grad.flatten(),
                               torch.tensor([1., -1., 0.]))
