# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.evaluation import (class_scores, confusion_matrix, mean_known,
                                   sweep_areas, sweep_counts)
from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import ScoreMap

THRESHOLDS = np.round(np.linspace(0, 1, 21), 2)


def test_confusion_against_a_loop():
    rng = np.random.default_rng(0)
    pred = rng.choice([0, 1, 2, 3, 255], (7, 9)).astype(np.uint8)
    mask = rng.choice([0, 1, 2, 3, 255], (7, 9)).astype(np.uint8)
    expected = np.zeros((4, 5), np.int64)
    for p, m in zip(pred.flat, mask.flat):
        if m != 255:
            expected[m, 4 if p == 255 else p] += 1
    np.testing.assert_array_equal(confusion_matrix(pred, mask, 4), expected)


def _scores_by_sets(pred, mask, label, unknown):
    valid = mask != 255
    if unknown == 'ignored':
        valid &= pred != 255
    if unknown == 'background':
        pred = np.where(pred == 255, 0, pred)
    p, m = (pred == label) & valid, (mask == label) & valid
    both, either = (p & m).sum(), (p | m).sum()
    return both / either if either else np.nan


@pytest.mark.parametrize('unknown', ('wrong', 'ignored', 'background'))
def test_iou_by_sets(unknown):
    rng = np.random.default_rng(1)
    # class 4 occurs nowhere, class 3 in the mask alone
    pred = rng.choice([0, 1, 2, 255], (20, 20)).astype(np.uint8)
    mask = rng.choice([0, 1, 2, 3, 255], (20, 20)).astype(np.uint8)
    iou = class_scores(confusion_matrix(pred, mask, 5), unknown)['iou']
    expected = [_scores_by_sets(pred, mask, i, unknown) for i in range(5)]
    np.testing.assert_allclose(iou, expected)
    assert np.isnan(iou[4]) and iou[3] == 0
    assert mean_known(iou) == pytest.approx(np.mean(expected[:4]))


def test_precision_and_recall_by_hand():
    pred = np.array([[1, 1, 0, 255]], np.uint8)
    mask = np.array([[1, 0, 0, 1]], np.uint8)
    confusion = confusion_matrix(pred, mask, 3)
    scores = class_scores(confusion, 'wrong')
    np.testing.assert_allclose(scores['precision'], [1, .5, np.nan])
    np.testing.assert_allclose(scores['recall'], [.5, .5, np.nan])
    assert class_scores(confusion, 'ignored')['recall'][1] == 1
    assert class_scores(confusion, 'background')['precision'][0] == .5
    assert np.isnan(mean_known([np.nan]))


@pytest.mark.parametrize('seed', range(5))
def test_sweep_agrees_with_the_labeler_at_every_threshold(seed):
    rng = np.random.default_rng(seed)
    counts, cases = [], []
    for i in range(3):
        n = (2, 0, 3)[i]
        # the thresholds themselves are among the scores, before and after
        # the resize
        maps = rng.choice(THRESHOLDS.astype(np.float32), (n, 6, 5))
        ori_shape = ((6, 5), (6, 5), (13, 11))[i]
        score_map = ScoreMap(f'{i}', ori_shape, rng.permutation(4)[:n], maps)
        mask = rng.choice([0, 1, 2, 4, 255], ori_shape).astype(np.uint8)
        cases.append((score_map, mask))
        counts.append(
            sweep_counts(*score_map.resize().best(), mask, THRESHOLDS, 6))
    hit, pred, truth = sweep_areas(counts, 6, len(THRESHOLDS))
    for t, threshold in enumerate(THRESHOLDS):
        labeler = ThresholdLabeler(float(threshold))
        confusion = sum(
            confusion_matrix(labeler(score_map), mask, 6)
            for score_map, mask in cases)
        np.testing.assert_array_equal(hit[t], confusion.diagonal())
        np.testing.assert_array_equal(pred[t], confusion[:, :6].sum(0))
        np.testing.assert_array_equal(truth, confusion.sum(1))


def test_neighbours_of_a_threshold_in_float32():
    threshold = np.float32(.35)
    score = np.array([[
        np.nextafter(threshold, np.float32(0)), threshold,
        np.nextafter(threshold, np.float32(1))
    ]])
    ones = np.ones((1, 3), np.uint8)
    hit, pred, _ = sweep_areas([sweep_counts(score, ones, ones, [.35], 2)], 2,
                               1)
    assert hit.tolist() == [[0, 1]] and pred.tolist() == [[2, 1]]


def test_thresholds_must_ascend():
    score, label = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8)
    with pytest.raises(AssertionError, match='ascend'):
        sweep_counts(score, label, label, [.5, .2], 2)
