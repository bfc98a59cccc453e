# Copyright (c) group_wsss contributors. All rights reserved.
"""How far a label can be trusted, without any mask."""
import numpy as np

from ...structures import IGNORE_INDEX


def trust(label: np.ndarray, before: np.ndarray) -> float:
    """Tell how far a label agrees with that of the step before.

    The mean over all classes but background that either of them shows of the
    intersection over union of the two, pixels that one of them leaves
    unknown not counted. What a walk and a classifier of pixels draw the same
    way is seldom wrong in the same way.

    Args:
        label (np.ndarray): uint8 ``(H, W)``.
        before (np.ndarray): uint8 ``(H, W)``.

    Returns:
        float: Percent. Two labels without any object agree fully.
    """
    known = (label != IGNORE_INDEX) & (before != IGNORE_INDEX)
    label, before = label[known], before[known]
    classes = np.union1d(label, before)
    ious = [
        np.sum((label == one) & (before == one)) /
        np.sum((label == one) | (before == one))
        for one in classes[classes > 0]
    ]
    return 100 * float(np.mean(ious)) if ious else 100.0
