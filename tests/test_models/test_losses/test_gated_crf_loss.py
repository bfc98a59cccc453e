# Copyright (c) group_wsss contributors. All rights reserved.
import math

import pytest
import torch

from group_wsss.models.losses import GatedCRFLoss
from group_wsss.utils.errors import InputError
from group_wsss.utils.pairs import pair_windows


def cells(tensor, size, reduce):
    """Means or minima over squares of ``size`` pixels, cell by cell."""
    b, c, h, w = tensor.shape
    out = tensor.new_zeros(b, c, h // size, w // size)
    for y in range(h // size):
        for x in range(w // size):
            square = tensor[:, :, y * size:(y + 1) * size,
                            x * size:(x + 1) * size].flatten(2)
            out[:, :, y, x] = getattr(square, reduce)(2)
    return out


def plain(logits, image, gate, radius, sigma_xy, sigma_rgb):
    """The double sum of the docstring, pair by pair."""
    b, _, h, w = logits.shape
    probs, total = logits.softmax(1), 0.
    for n in range(b):
        for y in range(h):
            for x in range(w):
                for v in range(h):
                    for u in range(w):
                        if (y, x) == (v, u) or max(abs(y - v),
                                                   abs(x - u)) > radius:
                            continue
                        shift = (y - v)**2 + (x - u)**2
                        colour = (image[n, :, y, x] -
                                  image[n, :, v, u]).pow(2).sum().item()
                        kernel = math.exp(-shift / (2 * sigma_xy**2) - colour /
                                          (2 * sigma_rgb**2))
                        same = (probs[n, :, y, x] * probs[n, :, v, u]).sum()
                        total += (gate[n, y, x] * gate[n, v, u] * kernel *
                                  (1 - same.item())).item()
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
    torch.manual_seed(0)
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


@pytest.mark.parametrize('shape', [(1, 1), (1, 6), (3, 4), (9, 2)])
@pytest.mark.parametrize('radius', [1, 3])
def test_window_holds_every_pair_once(shape, radius):
    numbers = torch.arange(shape[0] * shape[1]).reshape(shape)
    pairs = []
    for dy, dx in GatedCRFLoss(radius).shifts:
        begin, end = pair_windows(shape, (dy, dx))
        for a, b in zip(numbers[begin].flatten().tolist(),
                        numbers[end].flatten().tolist()):
            assert divmod(b,
                          shape[1]) == (a // shape[1] + dy, a % shape[1] + dx)
            pairs.append((min(a, b), max(a, b)))
    want = [(a, b) for a in range(numbers.numel()) for b in range(a) if max(
        abs(a // shape[1] - b // shape[1]), abs(a % shape[1] -
                                                b % shape[1])) <= radius]
    assert sorted(pairs) == sorted((b, a) for a, b in want)


def test_edges_and_smoothness():
    """Cutting at the edge of colour is cheap, cutting through is not."""
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 1.
    label = torch.zeros(1, 8, 8, dtype=torch.long)

    def cost(column):
        logits = torch.zeros(1, 2, 8, 8)
        logits[:, 0, :, :column], logits[:, 1, :, column:] = 20., 20.
        return GatedCRFLoss(downscale=1)(logits, label, image=image).item()

    assert cost(8) == pytest.approx(0, abs=1e-6)  # one class everywhere
    assert cost(4) == pytest.approx(0, abs=1e-6)
    assert cost(2) > 0.1


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


@pytest.mark.parametrize('options', [
    dict(radius=0),
    dict(sigma_xy=0.),
    dict(sigma_rgb=-1.),
    dict(downscale=0),
    dict(sigma_rgb=float('nan')),
])
def test_wrong_options(options):
    with pytest.raises(InputError, match=f'{next(iter(options))} of Gated'):
        GatedCRFLoss(**options)
