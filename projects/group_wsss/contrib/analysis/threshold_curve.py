# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, List, Sequence, Union

import numpy as np

from ...evaluation.confusion import divide, mean_known


def threshold_curve(
        hit: np.ndarray, pred: np.ndarray, truth: np.ndarray,
        thresholds: Union[Sequence[float],
                          np.ndarray]) -> List[Dict[str, float]]:
    """Quality of the labels at each background threshold.

    Args:
        hit (np.ndarray): ``(T, N)`` of
            :func:`group_wsss.evaluation.sweep_areas`.
        pred (np.ndarray): ``(T, N)``, likewise.
        truth (np.ndarray): ``(N, )``, likewise.
        thresholds (Sequence[float]): ``T`` of them.

    Returns:
        list[dict[str, float]]: One a threshold: ``threshold``, and in
        percent ``mIoU`` (NaN if nothing occurs), ``iou_background``,
        ``missed``, ``taken`` and ``leak`` of the object pixels together
        (see :func:`group_wsss.contrib.analysis.activation_shares`) and
        ``foreground``, the share of pixels that have a class.
    """
    iou = divide(hit, pred + truth - hit)
    objects = truth[1:].sum()
    found = pred[:, 1:].sum(axis=1)
    right = hit[:, 1:].sum(axis=1)
    # labels without unknown pixels: what is not background is an object
    leak = truth[0] - hit[:, 0]
    columns: Dict[str, np.ndarray] = dict(
        iou_background=iou[:, 0],
        missed=divide(objects - right, objects),
        taken=divide(found - leak - right, objects),
        leak=divide(leak, found),
        foreground=divide(found, truth.sum()))
    return [
        dict(
            threshold=float(threshold),
            mIoU=100 * mean_known(iou[t]),
            **{
                name: 100 * float(column[t])
                for name, column in columns.items()
            }) for t, threshold in enumerate(thresholds)
    ]


def oracle_of(curve: Sequence[Dict[str, float]]) -> Dict[str, Any]:
    """The best point of a curve, chosen on masks: an upper bound.

    Args:
        curve (Sequence[dict]): Of :func:`threshold_curve`.

    Returns:
        dict: The point, and ``chosen_on='masks'``; the lowest threshold
        of a tie. An empty dict if no point has a mIoU.
    """
    known = [point for point in curve if point['mIoU'] == point['mIoU']]
    if not known:
        return {}
    best = max(known, key=lambda point: point['mIoU'])
    return dict(best, chosen_on='masks')
