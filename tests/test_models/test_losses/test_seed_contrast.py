# Copyright (c) group_wsss contributors. All rights reserved.
import math

import pytest
import torch

from group_wsss.models import SeedContrast
from group_wsss.utils.errors import InputError


def plain_loop(keys, label, image, scale):
    """The formula of the docstring, seed by seed."""
    terms = []
    for i in range(len(keys)):
        others = [
            j for j in range(len(keys))
            if image[j] != image[i] and label[j] != -2 and label[i] != -2
        ]
        same = [j for j in others if label[j] == label[i] >= 0]
        if not same:
            continue
        total = sum(math.exp(scale * float(keys[i] @ keys[j])) for j in others)
        terms.append(
            sum(-math.log(math.exp(scale * float(keys[i] @ keys[p])) / total)
                for p in same) / len(same))
    return sum(terms) / max(len(terms), 1)


def test_equals_plain_loop():
    rng = torch.Generator().manual_seed(0)
    keys = torch.randn(40, 5, generator=rng, dtype=torch.float64)
    keys = torch.nn.functional.normalize(keys, dim=1)
    label = torch.randint(-2, 3, (40, ), generator=rng)
    image = torch.randint(0, 4, (40, ), generator=rng)
    found = SeedContrast(scale=3.0).contrast(keys, label, image)
    wanted = plain_loop(keys, label.tolist(), image.tolist(), 3.0)
    assert float(found) == pytest.approx(wanted, rel=1e-9)


def test_seeds():
    maps = torch.zeros(3, 2, 1, 4)
    maps[0, 0, 0] = torch.tensor([1.0, 0.54, 0.08, 0.3])
    maps[0, 1, 0] = torch.tensor([0.2, 0.55, 0.00, 0.3])
    maps[1, 1, 0] = torch.tensor([1.0, 1.0, 0.0, 1.0])
    valid = torch.ones(3, 1, 4, dtype=torch.bool)
    valid[1, 0, 3] = False
    # the last image has no map at all
    assert SeedContrast().seeds(maps, valid).tolist() == [[[0, 1, -1, -2]],
                                                          [[1, 1, -1, -2]],
                                                          [[-2] * 4]]


def test_the_draw_is_balanced():
    label = torch.tensor([0] * 900 + [1] * 100 + [-1] * 2000 + [-2] * 3000)
    loss = SeedContrast(num_seeds=100, background_share=0.5)
    drawn = torch.stack([
        torch.bincount(label[loss.draw(label, 2)] + 2, minlength=4)
        for _ in range(50)
    ]).float().mean(0)
    unused, background, first, second = drawn.tolist()
    assert unused == 0 and abs(background - 50) < 4
    # drawn without replacement, so that the rare class falls behind a little
    assert 15 < second < first < 35


def test_no_class_in_two_images_is_no_loss():
    keys = torch.randn(2, 3, 2, 2, requires_grad=True)
    maps = torch.zeros(2, 2, 2, 2)
    maps[0, 0, 0] = maps[1, 1, 0] = 1
    loss = SeedContrast()(keys, maps)
    loss.backward()
    assert float(loss) == 0 and not keys.grad.any()


@pytest.mark.parametrize('options', [
    dict(foreground=0.1, background=0.1),
    dict(foreground=1.1),
    dict(num_seeds=1),
    dict(background_share=1.0),
])
def test_bad_options(options):
    with pytest.raises(InputError, match='SeedContrast needs'):
        SeedContrast(**options)
