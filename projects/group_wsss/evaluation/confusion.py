# Copyright (c) group_wsss contributors. All rights reserved.
"""Counting pixels: confusion matrices and threshold sweeps, numpy only."""
from typing import Dict, NamedTuple, Sequence, Tuple, Union

import numpy as np

from ..structures.label_image import IGNORE_INDEX

# thresholds of a sweep unless told otherwise
SWEEP = np.round(np.linspace(0, 0.95, 96), 2)
UNKNOWN_MODES = ('wrong', 'ignored', 'background')


def confusion_matrix(pred: np.ndarray, mask: np.ndarray,
                     num_classes: int) -> np.ndarray:
    """Count pixels by mask class and predicted class.

    Args:
        pred (np.ndarray): uint8 ``(H, W)``, 0..N-1 or 255 (unknown).
        mask (np.ndarray): uint8 ``(H, W)``, 0..N-1 or 255 (not counted).
        num_classes (int): ``N``, background included.

    Returns:
        np.ndarray: int64 ``(N, N + 1)``; rows are the mask, columns the
        prediction, the last column counts pixels predicted as unknown.
    """
    assert pred.shape == mask.shape, f'{pred.shape} against {mask.shape}'
    valid = mask != IGNORE_INDEX
    row = mask[valid].astype(np.int64)
    column = pred[valid].astype(np.int64)
    column[column == IGNORE_INDEX] = num_classes
    assert not row.size or (row.max() < num_classes
                            and column.max() <= num_classes), (
                                f'label outside 0..{num_classes - 1}')
    width = num_classes + 1
    counts = np.bincount(row * width + column, minlength=num_classes * width)
    return counts.reshape(num_classes, width)


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, NaN where there is nothing to divide by."""
    out = np.full(np.broadcast(part, whole).shape, np.nan)
    return np.divide(part, whole, out=out, where=np.asarray(whole) > 0)


def mean_known(values: np.ndarray) -> float:
    """Mean of what is not NaN; NaN if nothing is left."""
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float('nan')


def class_scores(confusion: np.ndarray,
                 unknown: str = 'wrong') -> Dict[str, np.ndarray]:
    """Per-class figures of a confusion matrix, in [0, 1].

    A class that occurs neither in the prediction nor in the mask has NaN.

    Args:
        confusion (np.ndarray): Of :func:`confusion_matrix`.
        unknown (str): What a pixel predicted as unknown counts as:
            ``'wrong'`` (a miss of its class, nobody's false alarm),
            ``'ignored'`` (left out) or ``'background'``. Defaults to
            ``'wrong'``.

    Returns:
        dict[str, np.ndarray]: ``iou``, ``precision`` and ``recall``,
        each ``(N, )``.
    """
    assert unknown in UNKNOWN_MODES, f'unknown must be in {UNKNOWN_MODES}'
    known = confusion[:, :-1].copy()
    if unknown == 'background':
        known[:, 0] += confusion[:, -1]
    hit = known.diagonal()
    pred = known.sum(axis=0)
    truth = known.sum(axis=1)
    if unknown == 'wrong':
        truth = truth + confusion[:, -1]
    return dict(
        iou=divide(hit, pred + truth - hit),
        precision=divide(hit, pred),
        recall=divide(hit, truth))


class SweepCounts(NamedTuple):
    """Counts of one image for every threshold, in a few small arrays.

    ``T`` thresholds cut the scores into ``T + 1`` bins; bin ``k`` holds the
    pixels that are foreground at the first ``k`` thresholds only.
    """
    labels: np.ndarray  # (n, ) labels (class id + 1) that are strongest
    pred: np.ndarray  # (n, T + 1) pixels by bin
    hit: np.ndarray  # (n, T + 1) those of them the mask agrees with
    background: np.ndarray  # (T + 1, ) pixels whose mask is background
    truth: np.ndarray  # (N, ) pixels by mask class


def sweep_counts(score: np.ndarray, label: np.ndarray, mask: np.ndarray,
                 thresholds: Union[Sequence[float], np.ndarray],
                 num_classes: int) -> SweepCounts:
    """Sort an image's pixels into the bins between thresholds.

    A pixel has its strongest class where ``score > threshold`` (float32)
    and is background otherwise, at equality too: the rule of
    ``ThresholdLabeler``. One pass over the pixels (a binary search each)
    serves all thresholds.

    Args:
        score (np.ndarray): float32 ``(H, W)``, of ``ScoreMap.best``.
        label (np.ndarray): uint8 ``(H, W)``, of ``ScoreMap.best``.
        mask (np.ndarray): uint8 ``(H, W)``; 255 is not counted.
        thresholds (Sequence[float]): ``T`` ascending values >= 0.
        num_classes (int): ``N``, background included.

    Returns:
        SweepCounts: int32 counts, small enough to send between processes.
    """
    assert score.shape == label.shape == mask.shape, (
        f'{score.shape}, {label.shape} and {mask.shape} differ')
    edges = np.asarray(thresholds, dtype=np.float64).astype(np.float32)
    assert edges.size and edges[0] >= 0 and (np.diff(edges) >= 0).all(), (
        'thresholds must ascend from 0 or more')
    valid = mask != IGNORE_INDEX
    truth = mask[valid].astype(np.int64)
    label = label[valid].astype(np.int64)
    # number of thresholds below the score
    bins = np.searchsorted(edges, score[valid].astype(np.float32), 'left')
    width = len(edges) + 1
    cells = label * width + bins
    shape = (num_classes, width)
    size = num_classes * width
    pred = np.bincount(cells, minlength=size).reshape(shape)
    hit = np.bincount(cells[label == truth], minlength=size).reshape(shape)
    background = np.bincount(bins[truth == 0], minlength=width)
    rows = np.flatnonzero(pred.any(axis=1))
    rows = rows[rows > 0]  # background is what is left over
    return SweepCounts(
        rows.astype(np.int32), pred[rows].astype(np.int32),
        hit[rows].astype(np.int32), background.astype(np.int32),
        np.bincount(truth, minlength=num_classes).astype(np.int32))


def sweep_areas(
        counts: Sequence[SweepCounts], num_classes: int,
        num_thresholds: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add up images and turn bins into areas at each threshold.

    Args:
        counts (Sequence[SweepCounts]): One an image.
        num_classes (int): ``N``, background included.
        num_thresholds (int): ``T``.

    Returns:
        tuple[np.ndarray, np.ndarray, np.ndarray]: int64 hits ``(T, N)``,
        predicted pixels ``(T, N)`` and mask pixels ``(N, )``.
    """
    pred = np.zeros((num_classes, num_thresholds + 1), dtype=np.int64)
    hit = np.zeros_like(pred)
    background = np.zeros(num_thresholds + 1, dtype=np.int64)
    truth = np.zeros(num_classes, dtype=np.int64)
    for item in counts:
        pred[item.labels] += item.pred
        hit[item.labels] += item.hit
        background += item.background
        truth += item.truth
    # foreground at threshold t: all bins above t
    pred = pred[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:].T.copy()
    hit = hit[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:].T.copy()
    pred[:, 0] = truth.sum() - pred[:, 1:].sum(axis=1)
    hit[:, 0] = background.cumsum()[:-1]
    return hit, pred, truth
