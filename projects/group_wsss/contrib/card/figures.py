# Copyright (c) group_wsss contributors. All rights reserved.
"""The figures of a card, all of them from one confusion matrix."""
from typing import Dict, Optional, Sequence

import numpy as np

from ...evaluation.confusion import class_scores, divide, mean_known

# key -> heading and what it is; means are over all classes, background
# included, but for those that neither labels nor masks have
FIGURES = {
    'mIoU': ('mIoU', 'percent, unknown pixels are misses'),
    'mIoU_known': ('mIoU known', 'percent, unknown pixels left out'),
    'precision': ('Precision', 'percent, mean over classes'),
    'recall': ('Recall', 'percent, mean over classes, unknown pixels are '
               'misses'),
    'confusion_ratio': ('Confusion ratio', 'false alarms over hits, mean '
                        'over the classes that have hits'),
    'coverage': ('Coverage', 'percent of the pixels that have a label'),
    'boundary_mIoU': ('Boundary IoU', 'percent, mean over classes'),
}


def figures_of(
        confusion: Sequence[Sequence[int]],
        boundary_miou: Optional[float] = None) -> Dict[str, Optional[float]]:
    """Sum up labels against masks.

    Args:
        confusion (Sequence[Sequence[int]]): ``(N, N + 1)`` pixels, of
            :func:`group_wsss.evaluation.confusion_matrix`, added up over
            images.
        boundary_miou (float, optional): Percent, which no confusion matrix
            knows. Defaults to None, not measured.

    Returns:
        dict: A value for each key of ``FIGURES``, None where there is none.
        The confusion ratio of a class is ``FP / TP``, its false alarms over
        its hits.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    scores = class_scores(counts)
    hits = counts.diagonal()
    false = counts[:, :-1].sum(axis=0) - hits
    values = dict(
        mIoU=100 * mean_known(scores['iou']),
        mIoU_known=100 * mean_known(class_scores(counts, 'ignored')['iou']),
        precision=100 * mean_known(scores['precision']),
        recall=100 * mean_known(scores['recall']),
        confusion_ratio=mean_known(divide(false, hits)),
        coverage=100 - 100 * float(divide(counts[:, -1].sum(), counts.sum())),
        boundary_mIoU=boundary_miou)
    return {
        key: None if value is None or value != value else float(value)
        for key, value in values.items()
    }
