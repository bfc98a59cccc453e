# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.pseudo_labels.thresholds import score_histogram
from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError


def _by_loops(score_map, bg, unknown, conflict, min_foreground):
    score_map = score_map.resize()
    height, width = score_map.ori_shape
    out = np.zeros((height, width), np.uint8)
    foreground = 0
    for y in range(height):
        for x in range(width):
            best, label, strong = np.float32(0), 0, 0
            for class_id, values in zip(score_map.class_ids, score_map.maps):
                value = values[y, x]
                if value > best:  # the first, lowest id keeps a tie
                    best, label = value, class_id + 1
                if conflict is not None and value > np.float32(conflict):
                    strong += 1
            if not best > np.float32(bg):
                label = 0
                if unknown is not None and best > np.float32(unknown):
                    label = 255
            if strong > 1:
                label = 255
            out[y, x] = label
            foreground += 0 < label < 255
    if foreground / out.size < min_foreground:
        out[:] = 255
    return out


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('bg, unknown, conflict, min_foreground',
                         [(.35, None, None, 0.), (.5, None, .6, 0.),
                          (.5, .3, None, 0.), (.7, .2, .5, .2),
                          (.9, None, None, .2), (0., None, None, 0.),
                          (1., None, None, .01)])
def test_against_loops(seed, bg, unknown, conflict, min_foreground):
    rng = np.random.default_rng(seed)
    # few distinct values, some equal to the thresholds: ties everywhere
    maps = rng.integers(0, 11, (3, 4, 5)).astype(np.float32) / 10
    for ori_shape in ((4, 5), (9, 13)):
        score_map = ScoreMap('x', ori_shape, [7, 0, 19], maps)
        labeler = ThresholdLabeler(bg, unknown, conflict, min_foreground)
        got = labeler(score_map)
        expected = _by_loops(score_map, bg, unknown, conflict, min_foreground)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, expected)


def test_equality_is_background():
    above = np.nextafter(np.float32(.35), np.float32(1))
    maps = np.array([[[.35, above]]], np.float32)
    label = ThresholdLabeler(.35)(ScoreMap('x', (1, 2), [2], maps))
    assert label.tolist() == [[0, 3]]


def test_no_class_is_background_and_may_be_blanked():
    empty = ScoreMap('x', (3, 4), [], np.zeros((0, 2, 2)))
    assert not ThresholdLabeler()(empty).any()
    assert (ThresholdLabeler(min_foreground=.01)(empty) == 255).all()


def test_a_rule_needs_the_scores_of_all():
    labeler = ThresholdLabeler('otsu', margin=.1)
    scores = np.array([[0, .1, .15, .25, .85, .9]], np.float32)
    score_map = ScoreMap('x', (1, 6), [2], scores[None])
    with pytest.raises(InputError, match='otsu.*fit'):
        labeler(score_map)
    threshold = labeler.fit(score_histogram(score_map))
    assert labeler.bg_threshold == threshold and .25 <= threshold < .85


@pytest.mark.parametrize('bg, unknown, low',
                         ((.5, None, .4), (.5, .3, .2), (.05, None, 0)))
def test_margin(bg, unknown, low):
    scores = np.linspace(0, 1, 34, dtype=np.float32).reshape(1, 1, -1)
    labeler = ThresholdLabeler(bg, unknown, margin=.1)
    got = labeler(ScoreMap('x', (1, 34), [4], scores))
    expected = [
        5 if s > bg + .1 else 255 if s > low else 0 for s in scores.flat
    ]
    assert got[0].tolist() == expected and {0, 5, 255} == set(expected)
