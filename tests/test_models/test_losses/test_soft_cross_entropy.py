# Copyright (c) group_wsss contributors. All rights reserved.
import math

import pytest
import torch

from group_wsss.models.losses import SoftCrossEntropy


def test_equals_plain_loop():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 2, 4, dtype=torch.double)
    soft = torch.rand(2, 3, 2, 4, dtype=torch.double)
    soft = soft / soft.sum(1, keepdim=True)
    soft[1, :, 0, 1:3] = 0
    values = []
    for b in range(2):
        for y in range(2):
            for x in range(4):
                if (b, y) == (1, 0) and x in (1, 2):
                    continue
                numbers = [math.exp(v) for v in logits[b, :, y, x].tolist()]
                values.append(-sum(
                    soft[b, c, y, x].item() * math.log(n / sum(numbers))
                    for c, n in enumerate(numbers)))
    got = SoftCrossEntropy()(logits, soft_label=soft)
    assert got.item() == pytest.approx(sum(values) / 14)


def test_asks_for_the_doubt_of_the_label():
    soft = torch.tensor([0.7, 0.2, 0.1]).reshape(1, 3, 1, 1)
    logits = soft.log().requires_grad_()
    SoftCrossEntropy()(logits, soft_label=soft).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(1, 3, 1, 1))
