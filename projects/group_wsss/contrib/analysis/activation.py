# Copyright (c) group_wsss contributors. All rights reserved.
"""Under- and over-activation: what is missed and what leaks."""
from typing import Dict

import numpy as np

from ...evaluation.confusion import divide

# count -> what it is divided by
_SHARES = dict(
    missed='truth',
    missed_to_background='truth',
    missed_to_unknown='truth',
    taken='truth',
    leak='label',
    confused='label')


def activation_counts(confusion: np.ndarray) -> Dict[str, np.ndarray]:
    """Split the errors of each class.

    Args:
        confusion (np.ndarray): ``(N, N + 1)`` of
            :func:`group_wsss.evaluation.confusion_matrix`.

    Returns:
        dict[str, np.ndarray]: int64 ``(N, )`` pixels, 0 for background:

        - ``truth``: of the class in the mask;
        - ``missed``: those without its label, the sum of
          ``missed_to_background``, ``missed_to_unknown`` and ``taken``
          (labelled as another object class);
        - ``label``: with its label, where the mask counts;
        - ``leak``: those on background; ``confused``: those on another
          object class.
    """
    confusion = np.array(confusion, dtype=np.int64)
    hit = confusion.diagonal().copy()
    truth, label = confusion.sum(axis=1), confusion[:, :-1].sum(axis=0)
    counts = dict(
        truth=truth,
        missed=truth - hit,
        missed_to_background=confusion[:, 0].copy(),
        missed_to_unknown=confusion[:, -1].copy(),
        taken=truth - hit - confusion[:, 0] - confusion[:, -1],
        label=label,
        leak=confusion[0, :-1].copy(),
        confused=label - hit - confusion[0, :-1])
    for count in counts.values():
        count[0] = 0
    return counts


def activation_shares(counts: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """Shares of activation counts, in percent.

    ``missed`` and its three parts are shares of the mask's pixels (under-
    activation, 100 minus the recall), ``leak`` and ``confused`` of the
    label's (over-activation, together 100 minus the precision).

    Args:
        counts (dict[str, np.ndarray]): Of :func:`activation_counts`, by
            class or summed over classes.

    Returns:
        dict[str, np.ndarray]: By name, of the counts' shape; NaN where
        there is nothing to divide by.
    """
    return {
        name: 100 * divide(counts[name], counts[whole])
        for name, whole in _SHARES.items()
    }


def total_shares(confusion: np.ndarray) -> Dict[str, float]:
    """Activation shares of all object pixels together.

    Args:
        confusion (np.ndarray): ``(N, N + 1)``.

    Returns:
        dict[str, float]: Percent, as of :func:`activation_shares`.
    """
    counts = activation_counts(confusion)
    shares = activation_shares({
        name: count.sum(keepdims=True)
        for name, count in counts.items()
    })
    return {name: float(share[0]) for name, share in shares.items()}
