# Copyright (c) group_wsss contributors. All rights reserved.
"""Index of image-level labels, and the draw of group partners from it."""
from bisect import bisect_left, insort
from functools import cached_property
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from ..utils.errors import InputError

# ascending image positions
Pool = Union[np.ndarray, range]
MATCHES = ('exact', 'any', 'each', 'none')

# slot number of the draw that picks a class; partner slots count from 0
_CLASS_SLOT = 1 << 32


class Rows(NamedTuple):
    """Rows of different lengths, one behind the other.

    Attributes:
        starts (np.ndarray): int ``(R + 1, )``, where each row starts.
        values (np.ndarray): int, all rows.
    """
    starts: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> 'Rows':
        """Rows from lists."""
        starts = np.cumsum([0, *map(len, rows)])
        values = (value for row in rows for value in row)
        return cls(starts, np.fromiter(values, np.int64, starts[-1]))

    @property
    def sizes(self) -> np.ndarray:
        """Length of every row, int64 ``(R, )``."""
        return np.diff(self.starts).astype(np.int64)

    def row(self, i: int) -> np.ndarray:
        """Values of one row, not copied."""
        return self.values[self.starts[i]:self.starts[i + 1]]


class LabelIndex:
    """Draw group partners by label set and by class.

    Every draw is a counter-based random number of (seed, epoch, key of the
    anchor, slot): it does not depend on the batch, the rank or on which
    other anchors are asked for.

    Args:
        labels (Sequence[Sequence[int]]): 0-based class ids of every image;
            an image may have none.
        num_classes (int, optional): Number of classes ``C``. Defaults to the
            largest id plus one.

    Attributes:
        num_images, num_classes (int): ``N`` and ``C``.
        set_of (np.ndarray): int ``(N, )``, label set of every image. Sets
            are numbered by length, then by class ids.
        set_classes (Rows): Class ids of every label set, ascending.
        set_images (Rows): Images of every label set, ascending.
        class_images (Rows): Images of every class, ascending.

    Raises:
        InputError: A class id outside ``[0, C)``, or no image at all.
    """

    def __init__(self,
                 labels: Sequence[Sequence[int]],
                 num_classes: Optional[int] = None) -> None:
        if not len(labels):
            raise InputError('the image list is empty: no groups to draw')
        sets = _label_sets(labels, num_classes)
        if num_classes is None:
            num_classes = 1 + max((ids[-1] for ids in sets if ids), default=-1)
        known = sorted(set(sets), key=lambda ids: (len(ids), ids))
        number = {ids: i for i, ids in enumerate(known)}
        class_images: List[List[int]] = [[] for _ in range(num_classes)]
        for image, ids in enumerate(sets):
            for class_id in ids:
                class_images[class_id].append(image)
        self.num_images, self.num_classes = len(sets), num_classes
        self.set_of = np.array([number[ids] for ids in sets])
        self.set_classes = Rows.of(known)
        self.set_images = Rows(
            np.cumsum([0, *np.bincount(self.set_of)]),
            np.argsort(self.set_of, kind='stable'))
        self.class_images = Rows.of(class_images)

    @property
    def max_group(self) -> int:
        """Largest ``K`` for which some class has ``K`` images."""
        return int(self.class_images.sizes.max(initial=0))

    def labels_of(self, image: int) -> List[int]:
        """Class ids of an image.

        Args:
            image (int): Its position.

        Returns:
            list[int]: Ascending.
        """
        return self.set_classes.row(int(self.set_of[image])).tolist()

    def partners(self,
                 anchors: Union[Sequence[int], np.ndarray],
                 size: int,
                 match: str = 'exact',
                 seed: int = 0,
                 epoch: Union[int, np.ndarray] = 0) -> np.ndarray:
        """Partners of images of the index, whose key is their position.

        Args:
            anchors (Sequence[int]): Image positions, ``(n, )``.
            size (int): Partners per anchor, ``K - 1``.
            match (str): ``'exact'`` same label set; ``'any'`` one class in
                common, the same for the whole group; ``'each'`` one class in
                common, the anchor's classes taking turns, so that each is
                met elsewhere; ``'none'`` any other image. An image whose set
                is unshared falls back to ``'any'``, one without a shared
                class to ``'none'``. Defaults to 'exact'.
            seed (int): Seed of the draw. Defaults to 0.
            epoch (int | np.ndarray): Number of the pass, one for all or
                ``(n, )``. Defaults to 0.

        Returns:
            np.ndarray: int64 ``(n, size)``; never the anchor, distinct while
            the pool has enough images, then repeated: in the same order, or
            drawn again by ``'each'``.

        Raises:
            InputError: Another ``match``, or an index of a single image.
        """
        where = np.asarray(anchors, dtype=np.int64).reshape(-1)
        assert ((where >= 0) & (where < self.num_images)).all(), \
            'anchors are positions in the index'
        set_ids = self.set_of[where].tolist()
        own = [self.set_classes.row(i).tolist() for i in set_ids]
        return self._draw(own, set_ids, where, where, size, match, seed, epoch)

    def query(self,
              labels: Sequence[Sequence[int]],
              keys: np.ndarray,
              exclude: Union[Sequence[int], np.ndarray],
              size: int,
              match: str = 'any',
              seed: int = 0,
              epoch: int = 0) -> np.ndarray:
        """Partners for images that need not be in the index.

        Args:
            labels (Sequence[Sequence[int]]): Class ids of ``n`` anchors.
            keys (np.ndarray): uint64 ``(n, )``.
            exclude (Sequence[int]): ``(n, )``, position of the anchor in the
                index, -1 if it is not there.
            size, match, seed, epoch: As in :meth:`partners`.

        Returns:
            np.ndarray: int64 ``(n, size)`` positions in the index.

        Raises:
            InputError: As by :meth:`partners`, or a class id that the index
                does not know.
        """
        assert len(labels) == len(keys) == len(exclude), 'lengths differ'
        own = _label_sets(labels, self.num_classes)
        set_ids = [self._set_numbers.get(ids, -1) for ids in own]
        return self._draw(own, set_ids, keys, np.asarray(exclude, np.int64),
                          size, match, seed, epoch)

    @cached_property
    def _set_numbers(self) -> Dict[Tuple[int, ...], int]:
        rows = range(len(self.set_classes.starts) - 1)
        return {tuple(self.set_classes.row(i).tolist()): i for i in rows}

    def _draw(self, own: Sequence[Sequence[int]], set_ids: Sequence[int],
              keys: np.ndarray, exclude: np.ndarray, size: int, match: str,
              seed: int, epoch: Union[int, np.ndarray]) -> np.ndarray:
        check_group(1, match)
        drawn = np.zeros((len(own), size), np.int64)
        if drawn.size and self.num_images == 1 and (exclude >= 0).any():
            raise InputError('a group needs at least 2 images, the list '
                             'has 1: use group_size=1')
        bits = _random_bits(keys, drawn.shape[1], seed, epoch).tolist()
        for i, anchor in enumerate(exclude.tolist()):
            pools = self._pools(own[i], set_ids[i], anchor >= 0, match,
                                bits[i][-1])
            drawn[i] = _draw_group(pools, anchor, bits[i][:-1],
                                   match == 'each')
        return drawn

    def _pools(self, own: Sequence[int], set_id: int, inside: bool, match: str,
               number: int) -> List[Pool]:
        """Ascending positions from which the slots draw in turn."""
        if match == 'exact' and own and set_id >= 0:
            same = self.set_images.row(set_id)
            if len(same) > inside:
                return [same]
        if match != 'none':
            rows = (self.class_images.row(class_id) for class_id in own)
            usable: List[Pool] = [row for row in rows if len(row) > inside]
            if usable:
                # one class for the whole group, or the first of the turns
                first = number * len(usable) >> 32
                if match == 'each':
                    return usable[first:] + usable[:first]
                return [usable[first]]
        return [range(self.num_images)]


def check_group(group_size: int, match: str) -> None:
    """Refuse a group size or a rule of partners that makes no groups."""
    if not isinstance(group_size, int) or group_size < 1:
        raise InputError(f'group_size={group_size!r} must be an integer of at '
                         'least 1')
    if match not in MATCHES:
        raise InputError(f'match={match!r} is not one of {MATCHES}')


def _label_sets(labels: Sequence[Sequence[int]],
                num_classes: Optional[int]) -> List[Tuple[int, ...]]:
    """Ascending class ids of every image, none twice, each in [0, C)."""
    sets = [tuple(sorted({int(c) for c in ids})) for ids in labels]
    for image, ids in enumerate(sets):
        if ids and (ids[0] < 0
                    or num_classes is not None and ids[-1] >= num_classes):
            wrong = ids[0] if ids[0] < 0 else ids[-1]
            last = '' if num_classes is None else num_classes - 1
            raise InputError(f'image {image} has class id {wrong}, '
                             f'outside 0..{last}')
    return sets


def _draw_group(pools: Sequence[Pool], anchor: int, bits: List[int],
                again: bool) -> List[int]:
    """Draw one image for each 32-bit number; the pools take turns.

    Every pool has an image besides the anchor (-1 for none), which is never
    drawn. What is used up is drawn from ``again``, or repeats its order.
    """
    drawn: List[int] = []
    taken: List[List[int]] = [[] for _ in pools]  # places, ascending

    def take(image: int) -> None:
        for pool, places in zip(pools, taken):
            place = bisect_left(pool, image)
            there = place < len(pool) and pool[place] == image
            if there and place not in places:
                insort(places, place)

    take(anchor)
    own_places = [list(places) for places in taken]
    for slot, number in enumerate(bits):
        turn = slot % len(pools)
        pool, places = pools[turn], taken[turn]
        if len(places) == len(pool):  # used up
            if not again:
                drawn.append(drawn[slot % len(set(drawn))])
                continue
            places = own_places[turn]
        # uniform over what is left: step over the places that are taken
        where = number * (len(pool) - len(places)) >> 32
        for place in places:
            where += where >= place
        drawn.append(int(pool[where]))
        take(drawn[-1])
    return drawn


def _splitmix64(state: np.ndarray) -> np.ndarray:
    """Finaliser of SplitMix64 (Steele et al., OOPSLA 2014), uint64."""
    # arrays wrap around silently, scalars would warn
    z = np.atleast_1d(state) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _random_bits(keys: np.ndarray, size: int, seed: int,
                 epoch: Union[int, np.ndarray]) -> np.ndarray:
    """32 random bits for each slot and, last, for the choice of a class."""
    state = _splitmix64(np.asarray(epoch, np.int64).astype(np.uint64))
    seed_bits = np.array([seed % (1 << 64)], np.uint64)
    for part in (seed_bits, np.asarray(keys).astype(np.uint64)):
        state = _splitmix64(state ^ _splitmix64(part))
    slots = np.array([*range(size), _CLASS_SLOT], np.uint64)
    return _splitmix64(state[:, None] ^ _splitmix64(slots)) >> np.uint64(32)
