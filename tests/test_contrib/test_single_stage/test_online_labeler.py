# Copyright (c) group_wsss contributors. All rights reserved.
"""Labels on tensors are those of the refiner and the labeler on arrays."""
import numpy as np
import pytest
import torch
from PIL import Image

from group_wsss.contrib.single_stage import OnlineLabeler
from group_wsss.datasets import generate_toy
from group_wsss.pseudo_labels.labelers import ThresholdLabeler
from group_wsss.pseudo_labels.refiners import PixelAdaptive
from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError

TAGS = ([0, 3], [2], [1, 3, 4])
PAR = dict(type='group_wsss.PixelAdaptiveRefinement', dilations=(1, 2))


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Three images of the toy set, uint8 ``(48, 48, 3)``."""
    root = tmp_path_factory.mktemp('single_stage')
    generate_toy(root, num_train=24, num_val=1, size=48)
    paths = sorted((root / 'JPEGImages').iterdir())[:3]
    return [np.asarray(Image.open(path)) for path in paths]


def batch(images, side=6):
    """Images, class maps and tags as the segmentor hands them over."""
    torch.manual_seed(0)
    tags = torch.zeros(3, 5)
    for row, labels in zip(tags, TAGS):
        row[labels] = 1
    maps = torch.rand(3, 5, side, side) * tags[:, :, None, None]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    return pixels, maps / maps.flatten(1).amax(1)[:, None, None, None], tags


@pytest.mark.parametrize('options', [
    dict(),
    dict(downscale=1, high=0.6, low=0.45),
    dict(bg_power=2.0, high=0.55),
])
def test_rules_of_the_stages(images, options):
    pixels, maps, tags = batch(images)
    # a shift and a factor of the colours change nothing
    got = OnlineLabeler(refine=PAR, **options)(pixels / 255, maps, tags)
    high, low = options.pop('high', 0.5), options.pop('low', 0.5)
    refiner = PixelAdaptive(dilations=(1, 2), device='cpu', **options)
    labeler = ThresholdLabeler(high, unknown_threshold=min(low, high))
    seen = set()
    for i, labels in enumerate(TAGS):
        scores = refiner(
            ScoreMap(str(i), (48, 48), labels, maps[i, labels]), images[i])
        want, score = labeler(scores), scores.resize().maps.max(0)
        # float32 may fall on either side of a threshold
        sure = (abs(score - high) > 1e-4) & (abs(score - low) > 1e-4)
        assert sure.mean() > 0.99
        same = got[i].numpy() == want
        assert same[sure].mean() > 0.999
        seen |= set(np.unique(want))
    assert len(seen) >= 5 and 0 in seen
    assert (255 in seen) == (low < high)


def test_plain_loop():
    torch.manual_seed(1)
    tags = torch.tensor([[1, 0, 1], [0, 1, 0]])
    maps = torch.rand(2, 3, 4, 5) * tags[:, :, None, None]
    maps[0, 2, 3] = maps[0, 0, 3] = 0.9  # a tie goes to the lowest id
    labeler = OnlineLabeler(
        refine=None, bg_threshold=0.4, high=0.6, low=0.3, downscale=1)
    got = labeler(torch.rand(2, 3, 4, 5), maps, tags)
    for b in range(2):
        for y in range(4):
            for x in range(5):
                column = maps[b, :, y, x].tolist()
                best = column.index(max(column))
                score = column[best] / (column[best] + 0.4)
                want = best + 1 if score > 0.6 else 255
                assert got[b, y, x] == (0 if score <= 0.3 else want)
    assert {0, 255} < set(got.unique().tolist())


def test_padding_says_nothing(images):
    pixels, maps, tags = batch(images)
    valid = torch.ones(3, 48, 48, dtype=torch.bool)
    valid[1, 30:] = False
    maps[1, :, 4:] = 0
    labeler = OnlineLabeler(refine=PAR)
    got = labeler(pixels, maps, tags, valid)
    assert (got[~valid] == 255).all() and (got[1, :28] != 255).all()
    other = pixels.clone()
    other[1, :, 30:] = 255 - other[1, :, 30:]
    assert torch.equal(labeler(other, maps, tags, valid), got)
    assert not torch.equal(
        labeler(other, maps, tags), labeler(pixels, maps, tags))


def test_images_that_say_nothing(images):
    pixels, maps, tags = batch(images)
    tags[0], maps[0] = 0, 0  # nothing is there
    maps[1] = 0  # something is there, and nobody knows where
    got = OnlineLabeler(refine=PAR)(pixels, maps, tags)
    assert (got[0] == 0).all() and (got[1] == 255).all()
    assert got[2].unique().numel() > 1


@pytest.mark.parametrize('options', [
    dict(bg_threshold=1.0),
    dict(bg_power=0),
    dict(high=1.5),
    dict(high=0.4),
    dict(downscale=0)
])
def test_options(options):
    name = 'low' if options == dict(high=0.4) else next(iter(options))
    with pytest.raises(InputError, match=f'^{name} of OnlineLabeler'):
        OnlineLabeler(**options)
