# Copyright (c) group_wsss contributors. All rights reserved.
"""How far an image can be trusted, without any mask."""
from typing import Optional, Sequence

import numpy as np

from ...structures import IGNORE_INDEX


def trust(labels: Sequence[np.ndarray]) -> Optional[float]:
    """Tell how much of a label the steps that led to it agree on.

    Of each step and the next one: the mean over all classes but background
    that either of them shows of the intersection over union of the two
    labels, pixels that one of them leaves unknown not counted. Trust is the
    mean over such pairs. What class maps, walk and a classifier of pixels
    all draw the same way is seldom wrong in the same way.

    Args:
        labels (Sequence[np.ndarray]): Of the steps in their order, uint8
            ``(H, W)``.

    Returns:
        float, optional: Percent; None if there is a single step. Two labels
        without any object agree fully.
    """
    pairs = []
    for first, second in zip(labels, labels[1:]):
        known = (first != IGNORE_INDEX) & (second != IGNORE_INDEX)
        first, second = first[known], second[known]
        classes = np.union1d(first, second)
        ious = [
            np.sum((first == one) & (second == one)) /
            np.sum((first == one) | (second == one))
            for one in classes[classes > 0]
        ]
        pairs.append(100 * np.mean(ious) if ious else 100.0)
    return float(np.mean(pairs)) if pairs else None
