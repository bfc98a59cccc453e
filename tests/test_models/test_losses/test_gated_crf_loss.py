# Copyright (c) group_wsss contributors. All rights reserved.
import math

import numpy as np
import pytest
import torch

from group_wsss.models.losses import GatedCRFLoss


def cells(tensor, size, reduce):
    """Means or minima over squares of ``size`` pixels, cell by cell."""
    b, c, h, w = tensor.shape
    out = tensor.new_zeros(b, c, h // size, w // size)
    for y, x in np.ndindex(h // size, w // size):
        square = tensor[:, :, y * size:(y + 1) * size, x * size:(x + 1) * size]
        out[:, :, y, x] = getattr(square.flatten(2), reduce)(2)
    return out


def plain(logits, image, gate, radius, sigma_xy, sigma_rgb):
    """The double sum of the docstring, pair by pair."""
    b, _, h, w = logits.shape
    probs, total = logits.softmax(1), 0.
    for n, y, x, v, u in np.ndindex(b, h, w, h, w):
        if (y, x) == (v, u) or max(abs(y - v), abs(x - u)) > radius:
            continue
        shift = (y - v)**2 + (x - u)**2
        colour = (image[n, :, y, x] - image[n, :, v, u]).pow(2).sum()
        kernel = math.exp(-shift / (2 * sigma_xy**2) - colour.item() /
                          (2 * sigma_rgb**2))
        same = (probs[n, :, y, x] * probs[n, :, v, u]).sum()
        total += (gate[n, y, x] * gate[n, v, u] * kernel * (1 - same)).item()
    return total / gate.sum().item()


@pytest.fixture
def pictures():
    torch.manual_seed(0)
    logits = 2 * torch.randn(2, 3, 5, 7, dtype=torch.double)
    image = torch.rand(2, 3, 5, 7, dtype=torch.double)
    label = torch.randint(0, 3, (2, 5, 7))
    label[0, :2] = 255
    valid = torch.ones(2, 5, 7, dtype=torch.bool)
    valid[1, :, 5:] = False
    label[1, :, 5:] = 255
    return logits, image, label, valid


@pytest.mark.parametrize('radius', [1, 2, 9])
@pytest.mark.parametrize('known_only', [False, True])
def test_equals_plain_loop(radius, known_only, pictures):
    logits, image, label, valid = pictures
    loss = GatedCRFLoss(
        radius, 1.5, 0.4, downscale=1, known_only=known_only, loss_weight=1.)
    gate = valid & (label != 255) if known_only else valid
    want = plain(logits, image, gate.double(), radius, 1.5, 0.4)
    got = loss(logits, label, image=image, valid=valid)
    assert got.item() == pytest.approx(want)
    # the logits of padding do not matter
    logits[1, :, :, 5:] = 100.
    image[1, :, :, 5:] = 0.
    again = loss(logits, label, image=image, valid=valid)
    assert again.item() == pytest.approx(want)


@pytest.mark.parametrize('known_only', [False, True])
def test_downscale(known_only):
    logits = torch.randn(2, 3, 6, 8, dtype=torch.double)
    image = torch.rand(2, 3, 6, 8, dtype=torch.double)
    label = torch.randint(0, 3, (2, 6, 8))
    label[0, 3, 3] = 255
    valid = torch.ones(2, 6, 8, dtype=torch.bool)
    valid[1, 5:] = False  # half of the last row of cells
    gate = valid & (label != 255) if known_only else valid
    gate = cells(gate.double().unsqueeze(1), 2, 'amin')[:, 0]
    want = plain(
        cells(logits, 2, 'mean'), cells(image, 2, 'mean'), gate, 2, 3., 0.2)
    loss = GatedCRFLoss(2, 3., 0.2, 2, known_only, loss_weight=0.5)
    got = loss(logits, label, image=image, valid=valid)
    assert got.item() == pytest.approx(want / 2)


def test_a_image_without_labels_is_left_out(pictures):
    logits, image, label, valid = pictures
    label[0] = 255
    logits.requires_grad_()
    loss = GatedCRFLoss(downscale=1)
    value = loss(logits, label, image=image, valid=valid)
    value.backward()
    assert value > 0 and not logits.grad[0].any()
    alone = loss(logits[1:], label[1:], image=image[1:], valid=valid[1:])
    torch.testing.assert_close(value, alone)
    # unknown pixels of the other take part
    assert (label[1] == 255).any()
    label[1, 2:4, :3] = 255
    logits.grad = None
    loss(logits, label, image=image, valid=valid).backward()
    assert logits.grad[1, :, 2:4, :3].abs().amin() > 0


def test_memory_does_not_grow_with_the_window():
    """No map is kept for each of the shifts."""
    kept = {}
    for radius in (1, 5):
        sizes = []
        logits = torch.randn(1, 4, 24, 24, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(
                lambda x: sizes.append(x.numel()) or x, lambda x: x):
            GatedCRFLoss(
                radius, downscale=1)(
                    logits,
                    torch.zeros(1, 24, 24, dtype=torch.long),
                    image=torch.rand(1, 3, 24, 24))
        kept[radius] = sum(sizes)
    assert kept[1] == kept[5] > 0
