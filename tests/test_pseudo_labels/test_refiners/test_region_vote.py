# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.pseudo_labels import DenseCRF, RegionVote, ThresholdLabeler
from group_wsss.structures import ScoreMap
from group_wsss.structures.regions import SETTINGS, Regions, write_regions
from group_wsss.utils.errors import InputError

SIZE = (12, 15)


def some_masks(rng, count):
    """Rectangles that overlap and leave pixels bare."""
    masks = []
    for _ in range(count):
        top, left = rng.integers(0, 9), rng.integers(0, 11)
        mask = np.zeros(SIZE, bool)
        mask[top:top + rng.integers(1, 6), left:left + rng.integers(1, 7)] = 1
        masks.append(mask)
    return masks


@pytest.mark.parametrize('size', [SIZE, (4, 5)])
@pytest.mark.parametrize('seed', range(4))
def test_mean_against_loops(size, seed, tmp_path):
    rng = np.random.default_rng(seed)
    masks = some_masks(rng, 7)
    write_regions(str(tmp_path), 'x', masks)
    given = ScoreMap('x', SIZE, range(3), rng.random((3, *size), np.float32))
    given.maps[2] = 0  # no evidence at all
    got = RegionVote(str(tmp_path))(given)
    large = given.resize().maps
    for c in range(3):
        mean = [large[c][mask].mean() for mask in masks]
        for y, x in np.ndindex(SIZE):
            here = [mean[m] for m in range(7) if masks[m][y, x]]
            want = max(here, default=0) / (max(mean) or 1)
            assert got.maps[c, y, x] == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize('seed', range(8))
def test_cover_against_loops(seed, tmp_path):
    """Labels are the published rule, wherever one class alone takes."""
    rng = np.random.default_rng(seed)
    threshold, share, of_label = ((.4, .5, .85), (.3, .6, .5))[seed % 2]
    masks = some_masks(rng, 7)
    masks[0][:] = True  # holds all of every class
    masks[0][:, -3:] = False
    write_regions(str(tmp_path), 'x', masks)
    maps = rng.random((2, 3, 4), np.float32)
    given = ScoreMap('x', SIZE, [0, 3], maps)
    refiner = RegionVote(str(tmp_path), 'cover', share, of_label, threshold)
    got = refiner(given)
    large = given.resize().maps
    own = []  # pixels of each class
    for c in range(2):
        own.append((large[c] > threshold) & (large[c] > large[1 - c]))
    takes = np.zeros((2, 7), bool)
    scores = np.zeros((2, *SIZE))
    for c in range(2):
        for m, mask in enumerate(masks):
            q = (own[c] & mask).sum() / mask.sum()
            r = (own[c] & mask).sum() / max(own[c].sum(), 1)
            takes[c, m] = q > share or r >= of_label
            value = (1 + max(q, r)) / 2 if takes[c, m] else q / 2
            scores[c][mask] = np.maximum(scores[c][mask], value)
    label = ThresholdLabeler(0.5)(got)
    covered = np.any(masks, axis=0)
    np.testing.assert_allclose(
        got.maps[:, covered], scores[:, covered], atol=1e-6)
    for y, x in np.ndindex(SIZE):
        here = [m for m in range(7) if masks[m][y, x]]
        takers = [c for c in range(2) if takes[c, here].any()]
        if not here:  # as the class maps have it
            takers = [c for c in range(2) if own[c][y, x]]
        if len(takers) < 2:
            want = [1, 4][takers[0]] if takers else 0
            assert label[y, x] == want
        else:
            assert label[y, x] in (1, 4)


def test_no_region():
    maps = np.random.default_rng(0).random((1, *SIZE), np.float32)
    none = Regions.from_masks(SIZE, [])
    np.testing.assert_array_equal(RegionVote('.').refine(maps, none), maps)
    kept = RegionVote('.', 'cover', bg_threshold=.4).refine(maps, none)
    np.testing.assert_allclose(kept, maps / (maps + np.float32(.4)), 1e-6)


def test_refine_wants_regions():
    with pytest.raises(InputError, match='ScoreMap'):
        RegionVote('.').refine(np.ones((1, *SIZE), np.float32))


def test_the_maker_of_the_regions_tells_the_letter(tmp_path):
    refiner = RegionVote(str(tmp_path))
    assert refiner.supervision == 'A'
    (tmp_path / SETTINGS).write_text('{"supervision": ""}')
    assert refiner.supervision == ''


def test_what_waits_for_a_rule():
    assert RegionVote('.', bg_threshold='otsu').rule is None
    assert RegionVote('.', 'cover', bg_threshold='otsu').rule == 'otsu'
    assert DenseCRF(bg_threshold='otsu').rule == 'otsu'
    assert DenseCRF(bg_threshold='otsu', bg_power=2.).rule is None
