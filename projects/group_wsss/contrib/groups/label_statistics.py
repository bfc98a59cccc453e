# Copyright (c) group_wsss contributors. All rights reserved.
"""Statistics of label sets, and of the partners that images find."""
from typing import Any, Dict, List, Sequence

import numpy as np

from ...datasets.label_index import LabelIndex
from ...utils.errors import InputError

RULES = ('exact', 'any', 'each')
# label sets that are listed, the largest
_MAX_SETS = 1000
# how an image fares under a rule
ALONE, FEW, FULL = 0, 1, 2
_FATES = ('alone', 'few', 'full')


def set_levels(index: LabelIndex, group_size: int, match: str) -> np.ndarray:
    """Grade label sets by the partners that their images find.

    Args:
        index (LabelIndex): Of the list.
        group_size (int): Images in a group ``K``, at least 2.
        match (str): ``'exact'``, ``'any'`` or ``'each'``.

    Returns:
        np.ndarray: int64 ``(S, )`` in the order of ``index.set_classes``: 0
        (``ALONE``) the rule finds no partner and a weaker one is used; 1
        (``FEW``) it may have to repeat partners, since the set, or one of
        the classes that two images have, has fewer than ``K`` images; 2
        (``FULL``) ``K - 1`` different partners in every draw.

    Raises:
        InputError: Another ``match``, or ``group_size`` below 2.
    """
    if match not in RULES:
        raise InputError(f'match={match!r} is not one of {RULES}')
    if group_size < 2:
        raise InputError(f'group_size={group_size} makes no groups: statistics'
                         ' of groups need at least 2')
    pool, lengths = index.set_images.sizes, index.set_classes.sizes
    if match == 'exact':
        # an image without labels has no set to share
        pool = np.where(lengths > 0, pool, 0)
    else:
        # classes of a single image are left out by the draw
        counts = index.class_images.sizes[index.set_classes.values]
        far = index.num_images + 1
        smallest = np.full(len(lengths), far, np.int64)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        np.minimum.at(smallest, owner, np.where(counts > 1, counts, far))
        pool = np.where(smallest < far, smallest, 0)
    return np.where(pool < 2, ALONE, np.where(pool < group_size, FEW, FULL))


def label_statistics(
        index: LabelIndex,
        group_size: int,
        classes: Sequence[str] = (),
) -> Dict[str, Any]:
    """Statistics of the labels of a list, for people.

    Args:
        index (LabelIndex): Of the list.
        group_size (int): Images in a group ``K``, at least 2.
        classes (Sequence[str]): Class names; missing ones become their
            numbers. Defaults to none.

    Returns:
        dict: ``images``, ``unlabelled``, ``pairs``, ``sets`` and
        ``group_size``; ``rules``: images that are ``alone``, ``few`` or
        ``full`` (see :func:`set_levels`) by rule, without the unlabelled;
        ``many_classes``, images with more than ``K - 1`` classes;
        ``per_class``, ``per_set`` (largest first) and ``set_sizes`` (ranges
        of sizes, doubling): lists of rows.
    """
    sizes, lengths = index.set_images.sizes, index.set_classes.sizes
    names = [
        classes[i] if i < len(classes) else str(i)
        for i in range(max(index.num_classes, len(classes)))
    ]
    labelled = lengths > 0
    levels = {rule: set_levels(index, group_size, rule) for rule in RULES}
    rules = {
        rule: {
            word: int(sizes[labelled & (level == number)].sum())
            for number, word in enumerate(_FATES)
        }
        for rule, level in levels.items()
    }
    return dict(
        images=index.num_images,
        unlabelled=int(sizes[~labelled].sum()),
        pairs=len(index.class_images.values),
        sets=int(labelled.sum()),
        group_size=group_size,
        rules=rules,
        many_classes=int(sizes[lengths > group_size - 1].sum()),
        per_class=_per_class(index, names, levels['exact']),
        per_set=_per_set(index, names, levels),
        set_sizes=_size_ranges(sizes[labelled]))


def _per_class(index: LabelIndex, names: List[str],
               exact: np.ndarray) -> List[Dict[str, Any]]:
    """A row for each class; images by the fate of their label set."""
    sizes, lengths = index.set_images.sizes, index.set_classes.sizes
    members = index.set_classes.values
    owner = np.repeat(np.arange(len(lengths)), lengths)

    def count(chosen: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.bincount(
            members[chosen], weights[owner[chosen]],
            minlength=len(names)).astype(np.int64)

    everything = np.ones(len(members), dtype=bool)
    columns = dict(
        images=count(everything, sizes),
        sets=count(everything, np.ones_like(sizes)),
        only_class=count(lengths[owner] == 1, sizes),
        **{
            f'set_{word}': count(exact[owner] == number, sizes)
            for number, word in enumerate(_FATES)
        })
    rows = zip(*(column.tolist() for column in columns.values()))
    return [
        dict(class_id=i, class_name=name, **dict(zip(columns, row)))
        for i, (name, row) in enumerate(zip(names, rows))
    ]


def _per_set(index: LabelIndex, names: List[str],
             levels: Dict[str, np.ndarray]) -> List[Dict[str, Any]]:
    """A row for each of the largest label sets, without the empty one."""
    sizes = index.set_images.sizes
    order = np.argsort(-sizes, kind='stable')
    order = order[index.set_classes.sizes[order] > 0][:_MAX_SETS]
    rows = []
    for number in order.tolist():
        ids = index.set_classes.row(number).tolist()
        fates = {rule: _FATES[level[number]] for rule, level in levels.items()}
        rows.append(
            dict(
                classes=[names[i] for i in ids],
                class_ids=ids,
                images=int(sizes[number]),
                **fates))
    return rows


def _size_ranges(sizes: np.ndarray) -> List[Dict[str, int]]:
    """Sets and their images by size: 1, 2 to 3, 4 to 7, ..."""
    rows, low = [], 1
    while low <= sizes.max(initial=0):
        inside = sizes[(sizes >= low) & (sizes < 2 * low)]
        rows.append({
            'from': low,
            'to': 2 * low - 1,
            'sets': len(inside),
            'images': int(inside.sum())
        })
        low *= 2
    return rows
