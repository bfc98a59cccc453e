# Copyright (c) group_wsss contributors. All rights reserved.
"""Labels as flat arrays, and what a label index consists of."""
from itertools import chain
from typing import Dict, Sequence, Tuple

import numpy as np

from ..utils.errors import InputError


def smallest_int(largest: int, unsigned: bool = False) -> np.dtype:
    """The narrowest of uint16 (if unsigned), int32 and int64 for a number."""
    if unsigned and largest < 1 << 16:
        return np.dtype(np.uint16)
    return np.dtype(np.int32 if largest < 1 << 31 else np.int64)


def flatten_labels(
        labels: Sequence[Sequence[int]]) -> Tuple[np.ndarray, np.ndarray]:
    """Lengths of lists of class ids, and the ids behind each other, int64."""
    lengths = np.fromiter(map(len, labels), np.int64, len(labels))
    classes = np.fromiter(
        map(int, chain.from_iterable(labels)), np.int64, int(lengths.sum()))
    return lengths, classes


def tidy_labels(lengths: np.ndarray, classes: np.ndarray,
                num_classes: int) -> Tuple[np.ndarray, np.ndarray]:
    """Check class ids; sort them within an image, none twice.

    Takes and gives lengths, int64 ``(N, )``, and class ids, in the narrowest
    type; an InputError names the image with an id outside
    ``[0, num_classes)``.
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
    """Sort members by owner, stably.

    Returns:
        tuple[np.ndarray, np.ndarray]: They, and int64 offsets of the owners
        ``(count + 1, )``.
    """
    # numpy sorts 16 bits by radix
    owners = owners.astype(smallest_int(count, unsigned=True), copy=False)
    order = np.argsort(owners, kind='stable')
    ends = np.cumsum(np.bincount(owners, minlength=count))
    return members[order], np.concatenate([[0], ends])


def index_arrays(lengths: np.ndarray, classes: np.ndarray,
                 num_classes: int) -> Dict[str, np.ndarray]:
    """What a label index consists of.

    Args:
        lengths (np.ndarray): int64 ``(N, )``, class ids of every image.
        classes (np.ndarray): int64, the class ids one behind the other.
        num_classes (int): Number of classes ``C``.

    Returns:
        dict[str, np.ndarray]: ``set_of`` ``(N, )``, the label set of every
        image; ``set_classes``, ``set_images`` and ``class_images``: classes
        or images of one set or class after another, ascending in each;
        ``set_class_starts``, ``set_image_starts`` ``(S + 1, )`` and
        ``class_image_starts`` ``(C + 1, )``: where each starts.

    Raises:
        InputError: A class id outside ``[0, C)``, or no image at all.
    """
    num_images = len(lengths)
    if num_images == 0:
        raise InputError('the image list is empty: no groups to draw')
    lengths, classes = tidy_labels(lengths, classes, num_classes)
    number = smallest_int(num_images + len(classes))
    everyone = np.arange(num_images, dtype=number)
    set_of = label_set_ids(lengths, classes, num_classes)
    num_sets = int(set_of.max()) + 1
    set_of = set_of.astype(number)
    set_images, set_starts = segments(everyone, set_of, num_sets)
    # classes of a set, as its first image has them
    first = set_images[set_starts[:-1]]
    ends = np.cumsum(lengths[first])
    starts = np.concatenate([[0], ends])
    away = (np.cumsum(lengths) - lengths)[first] - starts[:-1]
    flat = np.arange(ends[-1]) + np.repeat(away, lengths[first])
    class_images, class_starts = segments(
        np.repeat(everyone, lengths), classes, num_classes)
    return dict(
        set_of=set_of,
        set_classes=classes[flat],
        set_class_starts=starts.astype(number),
        set_images=set_images,
        set_image_starts=set_starts.astype(number),
        class_images=class_images,
        class_image_starts=class_starts)
