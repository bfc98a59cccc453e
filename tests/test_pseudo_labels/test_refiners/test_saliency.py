# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
from PIL import Image

from group_wsss.pseudo_labels import SaliencyLabeler, ThresholdLabeler
from group_wsss.pseudo_labels.refiners.saliency import Saliency
from group_wsss.registry import TASK_UTILS
from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError

RULE_1 = dict(
    conflict_threshold=None, evidence_threshold=None, min_foreground=0.)


def _save(folder, saliency, name='x'):
    Image.fromarray(saliency).save(folder / f'{name}.png')


def _case(seed, n, kind):
    """Maps and saliency with many exact and many near ties."""
    rng = np.random.default_rng(seed)
    if kind == 'random':
        maps = rng.random((n, 40, 50), np.float32)
        saliency = rng.integers(0, 256, (40, 50))
    else:
        # multiples of 1/20 meet 1 - 51 k / 255, a bit more or a bit less;
        # neighbours of 1 collide when they are divided
        maps = rng.integers(0, 21, (n, 40, 50)).astype(np.float32) / 20
        near = rng.random(maps.shape) < .3
        down = np.nextafter(maps, np.float32(0))
        maps = np.where(near, down, maps)
        saliency = 51 * rng.integers(0, 6, (40, 50))
        if kind == 'flat' and n:
            maps[0] = .5
    score_map = ScoreMap('x', (40, 50), rng.permutation(20)[:n], maps)
    return score_map, saliency.astype(np.uint8)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('n', (0, 1, 2, 5))
@pytest.mark.parametrize('kind', ('random', 'ties', 'flat'))
def test_labels_equal_rule_1_of_the_labeler(seed, n, kind, tmp_path):
    score_map, saliency = _case(seed, n, kind)
    _save(tmp_path, saliency)
    want = SaliencyLabeler(str(tmp_path), **RULE_1)(score_map)
    refined = Saliency(str(tmp_path))(score_map)
    np.testing.assert_array_equal(ThresholdLabeler(.5)(refined), want)
    # not empty: a lone flat map never wins
    assert n == 0 or (n, kind) == (1, 'flat') or len(np.unique(want)) > 1


def test_small_maps_are_resized_first(tmp_path):
    maps = np.random.default_rng(0).random((2, 5, 6), np.float32)
    saliency = np.tile(np.arange(50, dtype=np.uint8) * 5, (40, 1))
    _save(tmp_path, saliency)
    score_map = ScoreMap('x', (40, 50), [7, 3], maps)
    refiner = Saliency(str(tmp_path))
    refined = refiner(score_map)
    assert refined.maps.shape == (2, 40, 50)
    np.testing.assert_array_equal(
        ThresholdLabeler(.5)(refined),
        SaliencyLabeler(str(tmp_path), **RULE_1)(score_map))
    fused = refiner.fuse(score_map.maps, saliency.astype(np.float32) / 255)
    np.testing.assert_array_equal(fused, refined.maps)


@pytest.mark.parametrize('n', (1, 3))
def test_scores_against_loops(n):
    rng = np.random.default_rng(0)
    maps = rng.random((n, 6, 7), np.float32)
    saliency = rng.random((6, 7), np.float32)
    saliency[0] = 1  # nothing but the classes compete
    got = Saliency('unused').fuse(maps, saliency)
    for y in range(6):
        for x in range(7):
            p = [(m[y, x] - m.min()) / (m.max() - m.min()) for m in maps]
            for c in range(n):
                want = p[c] / (max(p) + 1 - saliency[y, x])
                assert got[c, y, x] == pytest.approx(want, rel=1e-5)
    assert got.dtype == np.float32


def test_array_level(tmp_path):
    maps = np.random.default_rng(0).random((2, 3, 4), np.float32)
    saliency = np.random.default_rng(1).random((9, 8), np.float32)
    refiner = Saliency('unused')
    up = ScoreMap('x', (9, 8), [0, 1], maps).resize().maps
    fused = refiner.fuse(maps, saliency)
    np.testing.assert_array_equal(fused, refiner.fuse(up, saliency))
    np.testing.assert_array_equal(fused, refiner.refine(maps, saliency))
    with pytest.raises(InputError, match='fuse'):
        refiner.refine(maps)
    for wrong in (np.zeros((9, 8, 3), np.uint8), np.zeros((9, 8), np.uint8)):
        with pytest.raises(InputError, match='uint8'):
            refiner.refine(maps, wrong)


@pytest.mark.parametrize('step', [-1, 0, 1])
def test_one_bit_decides(step):
    saliency = np.random.default_rng(0).random((100, 100), np.float32)
    saliency[:50] *= 1e-5  # background close to 1, where sums round
    background = 1 - saliency
    near = background
    if step:
        near = np.nextafter(background, np.float32(2 * (step > 0)))
    near = np.minimum(near, 1)
    near[0, :2] = 0, 1  # min-max keeps such a map as it is
    weaker = np.nextafter(near, np.float32(0))
    weaker[0, :2] = 0, 1
    scores = Saliency('unused').fuse(np.stack([weaker, near]), saliency)
    np.testing.assert_array_equal(scores[1] > .5, near > background)
    np.testing.assert_array_equal(scores[0] > .5, weaker > background)
    np.testing.assert_array_equal(scores.argmax(axis=0), near > weaker)


@pytest.mark.parametrize('value', [0., .4, 1.])
@pytest.mark.parametrize('size', [(1, 1), (4, 5)])
def test_constant_maps_are_background(value, size):
    out = Saliency('unused').fuse(
        np.full((2, *size), value, np.float32), np.ones(size, np.float32))
    # no evidence on either side is a tie, which background wins
    assert (out == 0).all()


def test_no_class_reads_no_file():
    empty = ScoreMap('x', (4, 6), [], np.zeros((0, 2, 2)))
    assert Saliency('unused')(empty) is empty


def test_bad_saliency_is_named(tmp_path):
    score_map = ScoreMap('x', (4, 6), [1], np.ones((1, 4, 6), np.float32))
    refiner = Saliency(str(tmp_path))
    with pytest.raises(InputError, match='x.png'):
        refiner(score_map)
    _save(tmp_path, np.zeros((6, 4), np.uint8))
    with pytest.raises(InputError, match=r'x.png.*\(6, 4\).*\(4, 6\)'):
        refiner(score_map)


def test_suffix_and_registry(tmp_path):
    _save(tmp_path, np.full((1, 2), 255, np.uint8), 'x_sal')
    refiner = TASK_UTILS.build(
        dict(
            type='group_wsss.Saliency',
            saliency_dir=str(tmp_path),
            suffix='_sal.png'))
    assert not refiner.needs_image
    score_map = ScoreMap('x', (1, 2), [1], np.float32([[[.2, .6]]]))
    assert refiner(score_map).maps.tolist() == [[[0., 1.]]]
