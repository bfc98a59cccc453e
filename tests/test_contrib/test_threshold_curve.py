# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.contrib.analysis import (oracle_of, threshold_curve,
                                         total_shares)
from group_wsss.evaluation import (class_scores, confusion_matrix, mean_known,
                                   sweep_areas, sweep_counts)
from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import ScoreMap


def test_curve_against_labels_at_every_threshold():
    rng = np.random.default_rng(0)
    thresholds = np.round(np.linspace(0, 1, 41), 3)
    cases, counts = [], []
    for i in range(4):
        maps = rng.random((i, 5, 6)).astype(np.float32)
        score_map = ScoreMap(f'{i}', (11, 13), rng.permutation(4)[:i], maps)
        mask = rng.choice([0, 1, 2, 3, 4, 255], (11, 13)).astype(np.uint8)
        cases.append((score_map, mask))
        counts.append(
            sweep_counts(*score_map.resize().best(), mask, thresholds, 5))
    curve = threshold_curve(*sweep_areas(counts, 5, len(thresholds)),
                            thresholds)
    assert [point['threshold'] for point in curve] == thresholds.tolist()
    for point in curve:
        labeler = ThresholdLabeler(point['threshold'])
        labels = [labeler(score_map) for score_map, _ in cases]
        confusion = sum(
            confusion_matrix(label, mask, 5)
            for label, (_, mask) in zip(labels, cases))
        iou = class_scores(confusion)['iou']
        shares = total_shares(confusion)
        foreground = sum((label[mask < 255] > 0).sum()
                         for label, (_, mask) in zip(labels, cases))
        expected = dict(
            threshold=point['threshold'],
            mIoU=100 * mean_known(iou),
            iou_background=100 * iou[0],
            missed=shares['missed'],
            taken=shares['taken'],
            leak=shares['leak'],
            foreground=100 * foreground / confusion.sum())
        assert point == pytest.approx(expected, nan_ok=True)
    # all is background at 1, so nothing can leak
    assert curve[-1]['missed'] == 100 and np.isnan(curve[-1]['leak'])


def test_oracle_is_the_best_and_says_so():
    curve = [
        dict(threshold=.1, mIoU=float('nan')),
        dict(threshold=.2, mIoU=30.),
        dict(threshold=.3, mIoU=40.),
        dict(threshold=.4, mIoU=40.)
    ]
    assert oracle_of(curve) == dict(threshold=.3, mIoU=40., chosen_on='masks')
    assert oracle_of(curve[:1]) == {}
