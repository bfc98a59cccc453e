# Copyright (c) group_wsss contributors. All rights reserved.
"""Label lists as flat arrays, and which images have the same set."""
from itertools import chain
from typing import Sequence, Tuple

import numpy as np

from ...utils.errors import InputError


def smallest_int(largest: int, unsigned: bool = False) -> np.dtype:
    """The narrowest type of 16 (unsigned only), 32 or 64 bits.

    Args:
        largest (int): What it must hold.
        unsigned (bool): Allow uint16. Defaults to False.

    Returns:
        np.dtype: uint16, int32 or int64.
    """
    if unsigned and largest < 1 << 16:
        return np.dtype(np.uint16)
    return np.dtype(np.int32 if largest < 1 << 31 else np.int64)


def flatten_labels(
        labels: Sequence[Sequence[int]]) -> Tuple[np.ndarray, np.ndarray]:
    """Lists of class ids, one behind the other.

    Args:
        labels (Sequence[Sequence[int]]): Class ids of every image.

    Returns:
        tuple[np.ndarray, np.ndarray]: int64 lengths ``(N, )`` and class ids.
    """
    lengths = np.fromiter(map(len, labels), np.int64, len(labels))
    classes = np.fromiter(
        map(int, chain.from_iterable(labels)), np.int64, int(lengths.sum()))
    return lengths, classes


def tidy_labels(lengths: np.ndarray, classes: np.ndarray,
                num_classes: int) -> Tuple[np.ndarray, np.ndarray]:
    """Check class ids; sort them within an image, none twice.

    Args:
        lengths (np.ndarray): int ``(N, )``, class ids of every image.
        classes (np.ndarray): int, their concatenation.
        num_classes (int): Number of classes.

    Returns:
        tuple[np.ndarray, np.ndarray]: int64 lengths and class ids in the
        narrowest type.

    Raises:
        InputError: A class id outside ``[0, num_classes)``.
    """
    wrong = (classes < 0) | (classes >= num_classes)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        image = int(np.searchsorted(np.cumsum(lengths), first, 'right'))
        raise InputError(f'image {image} has class id {int(classes[first])}, '
                         f'outside 0..{num_classes - 1}')
    narrow = smallest_int(num_classes, unsigned=True)
    lengths = np.asarray(lengths, dtype=np.int64)
    # an image's first entry may be below the one before
    rises = np.ones(len(classes) + 1, dtype=bool)
    rises[1:-1] = classes[1:] > classes[:-1]
    rises[np.cumsum(lengths)] = True
    if not rises.all():
        pair = np.repeat(np.arange(len(lengths)), lengths) * num_classes
        pair = np.unique(pair + classes)
        lengths = np.bincount(pair // num_classes, minlength=len(lengths))
        classes = pair % num_classes
    return lengths, classes.astype(narrow, copy=False)


def label_set_ids(lengths: np.ndarray, classes: np.ndarray,
                  num_classes: int) -> np.ndarray:
    """Number the distinct label sets.

    The sets are walked as paths of a trie, one sort for each level: exact,
    and without a table of images by classes.

    Args:
        lengths, classes (np.ndarray): Of :func:`tidy_labels`.
        num_classes (int): Number of classes.

    Returns:
        np.ndarray: int64 ``(N, )``, 0 to the number of sets minus one; the
        same number where the sets are equal.
    """
    starts = np.cumsum(lengths) - lengths
    node = np.zeros(len(lengths), np.int64)  # 0: the root, no class
    count, depth = 1, 0
    active = np.flatnonzero(lengths)
    while len(active):
        step = node[active] * num_classes + classes[starts[active] + depth]
        found, child = np.unique(step, return_inverse=True)
        node[active] = count + child.reshape(-1)
        count, depth = count + len(found), depth + 1
        active = active[lengths[active] > depth]
    return np.unique(node, return_inverse=True)[1].reshape(-1)


def segments(members: np.ndarray, owners: np.ndarray,
             count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Sort by owner, in the given order within each.

    Args:
        members (np.ndarray): ``(n, )``.
        owners (np.ndarray): int ``(n, )`` in ``[0, count)``.
        count (int): Number of owners.

    Returns:
        tuple[np.ndarray, np.ndarray]: ``members`` sorted, and int64 offsets
        ``(count + 1, )``.
    """
    # numpy sorts 16 bits by radix
    owners = owners.astype(smallest_int(count, unsigned=True), copy=False)
    order = np.argsort(owners, kind='stable')
    ends = np.cumsum(np.bincount(owners, minlength=count))
    return members[order], np.concatenate([[0], ends])
