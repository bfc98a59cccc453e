# Copyright (c) group_wsss contributors. All rights reserved.
"""Which classes of one image are taken for each other."""
from typing import Any, Dict, List, Sequence

import numpy as np


def pair_counts(confusion: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Count one image for all pairs of classes it is said to show.

    Args:
        confusion (np.ndarray): ``(N, N + 1)`` of the image.
        labels (Sequence[int]): Labels (class id + 1) of its tags.

    Returns:
        np.ndarray: int64 ``(3, N, N)``, zero outside of the pairs ``(a, b)``
        of different tags: images (1), mask pixels of ``a``, and those of
        them labelled ``b``. They add up over images.
    """
    counts = np.zeros((3, len(confusion), len(confusion)), dtype=np.int64)
    for a in labels:
        for b in labels:
            if a != b:
                counts[:, a, b] = 1, confusion[a].sum(), confusion[a, b]
    return counts


def pair_rows(counts: np.ndarray,
              names: Sequence[str]) -> List[Dict[str, Any]]:
    """Table of all pairs that occur together.

    Args:
        counts (np.ndarray): ``(3, N, N)``, sum over images of
            :func:`pair_counts`.
        names (Sequence[str]): ``N`` class names.

    Returns:
        list[dict]: ``mask_class`` and ``label_class``, the names of ``a``
        and ``b``, ``mask_index`` and ``label_index``, ``images`` whose tags
        hold both, ``pixels`` of ``a`` in them, ``taken``: those labelled
        ``b``, and ``share`` of these in percent (NaN without pixels). Most
        pixels first.
    """
    images, pixels, taken = counts
    rows = []
    for a, b in np.argwhere(images):
        share = 100 * taken[a, b] / pixels[a, b] if pixels[a, b] else np.nan
        rows.append(
            dict(
                mask_class=names[a],
                label_class=names[b],
                mask_index=int(a),
                label_index=int(b),
                images=int(images[a, b]),
                pixels=int(pixels[a, b]),
                taken=int(taken[a, b]),
                share=float(share)))
    # argwhere is in class order, sorting keeps it among equals
    return sorted(rows, key=lambda row: -row['taken'])
