# Copyright (c) group_wsss contributors. All rights reserved.
"""Which images can stand in one group: class -> images, set -> images."""
from typing import Optional, Sequence, Tuple, Union

import numpy as np

from ..errors import InputError

MATCHES = ('exact', 'any', 'each', 'none')

# slot number of the draw that picks a class; partner slots count from 0
_CLASS_SLOT = 1 << 32


def splitmix64(state: np.ndarray) -> np.ndarray:
    """Finaliser of SplitMix64 (Steele et al., OOPSLA 2014).

    Args:
        state (np.ndarray): Any shape, uint64.

    Returns:
        np.ndarray: Well mixed uint64 of the same shape.
    """
    # arrays wrap around silently, scalars would warn
    z = np.atleast_1d(state) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _segments(members: np.ndarray, owners: np.ndarray,
              count: int) -> Tuple[np.ndarray, np.ndarray]:
    """CSR: ``members`` sorted by owner, ``(count + 1, )`` offsets."""
    order = np.argsort(owners, kind='stable')
    sizes = np.bincount(owners, minlength=count)
    return members[order], np.concatenate([[0], np.cumsum(sizes)])


class LabelIndex:
    """Draw group partners in constant time per image.

    Every draw is a counter-based random number of (seed, epoch, key of the
    anchor, slot): it does not depend on the batch, the rank or on which
    other anchors are asked for.

    Args:
        labels (Sequence[Sequence[int]]): 0-based class ids of every image;
            an image may have none.
        num_classes (int): Number of classes ``C``.
        keys (np.ndarray, optional): uint64 ``(N, )``, what a draw depends on
            besides seed and epoch. Defaults to the position in ``labels``.

    Raises:
        InputError: A class id outside ``[0, C)``, or no image at all.
    """

    def __init__(self,
                 labels: Sequence[Sequence[int]],
                 num_classes: int,
                 keys: Optional[np.ndarray] = None) -> None:
        self.num_images = len(labels)
        self.num_classes = int(num_classes)
        if self.num_images == 0:
            raise InputError('the image list is empty: no groups to draw')
        if keys is None:
            keys = np.arange(self.num_images, dtype=np.uint64)
        self.keys = np.asarray(keys, dtype=np.uint64)
        assert self.keys.shape == (self.num_images, ), 'one key per image'

        # image -> classes
        self._classes, images, rows = self._unpack(labels)
        counts = np.bincount(images, minlength=self.num_images)
        self._image_ptr = np.concatenate([[0], np.cumsum(counts)])
        # class -> images, ascending
        by_class, self._class_ptr = _segments(images, self._classes,
                                              self.num_classes)
        self._class_counts = np.diff(self._class_ptr)
        # label set -> images, ascending
        self._set_rows, set_ids = np.unique(rows, return_inverse=True)
        self._set_of = set_ids.reshape(-1)
        by_set, self._set_ptr = _segments(
            np.arange(self.num_images), self._set_of, len(self._set_rows))
        self._set_counts = np.diff(self._set_ptr)
        self._pool = np.concatenate([by_class, by_set])
        self._set_ptr = self._set_ptr + len(by_class)

    @property
    def class_counts(self) -> np.ndarray:
        """Images of every class, int64 ``(C, )``."""
        return self._class_counts.copy()

    @property
    def set_sizes(self) -> np.ndarray:
        """Images of every distinct label set that occurs, int64."""
        return self._set_counts.copy()

    @property
    def max_group(self) -> int:
        """Largest ``K`` for which some class has ``K`` images."""
        return int(self._class_counts.max()) if self.num_classes else 0

    def partners(self,
                 anchors: Sequence[int],
                 size: int,
                 match: str = 'exact',
                 seed: int = 0,
                 epoch: Union[int, np.ndarray] = 0) -> np.ndarray:
        """Partners of images of the index.

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
            the pool has enough images, then repeated in the same order.
        """
        anchors = np.asarray(anchors, dtype=np.int64).reshape(-1)
        assert anchors.size == 0 or (
            0 <= anchors.min() and anchors.max() < self.num_images), \
            'anchors are positions in the index'
        owner, flat = _ranges(self._image_ptr[anchors],
                              np.diff(self._image_ptr)[anchors])
        return self._draw(self._classes[flat], owner, self._set_of[anchors],
                          self.keys[anchors], anchors, size, match, seed,
                          epoch)

    def query(self,
              labels: Sequence[Sequence[int]],
              keys: np.ndarray,
              exclude: np.ndarray,
              size: int,
              match: str = 'any',
              seed: int = 0,
              epoch: int = 0) -> np.ndarray:
        """Partners for images that need not be in the index.

        Args:
            labels (Sequence[Sequence[int]]): Class ids of ``n`` anchors.
            keys (np.ndarray): uint64 ``(n, )``.
            exclude (np.ndarray): int64 ``(n, )``, position of the anchor in
                the index, -1 if it is not there.
            size, match, seed, epoch: As in :meth:`partners`.

        Returns:
            np.ndarray: int64 ``(n, size)`` positions in the index.
        """
        exclude = np.asarray(exclude, dtype=np.int64).reshape(-1)
        keys = np.asarray(keys, dtype=np.uint64).reshape(-1)
        assert len(labels) == len(keys) == len(exclude), 'lengths differ'
        if len(labels) == 0:
            return np.zeros((0, size), np.int64)
        classes, owner, rows = self._unpack(labels)
        known = len(self._set_rows)
        _, ids = np.unique(
            np.concatenate([self._set_rows, rows]), return_inverse=True)
        ids = ids.reshape(-1)
        table = np.full(ids.max() + 1, -1, dtype=np.int64)
        table[ids[:known]] = np.arange(known)
        return self._draw(classes, owner, table[ids[known:]], keys, exclude,
                          size, match, seed, epoch)

    def _unpack(
        self, labels: Sequence[Sequence[int]]
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Class ids and their images, and one opaque scalar a label set."""
        lengths = np.fromiter((len(ids) for ids in labels), np.int64,
                              len(labels))
        classes = np.fromiter((int(c) for ids in labels for c in ids),
                              np.int64, int(lengths.sum()))
        images = np.repeat(np.arange(len(labels)), lengths)
        wrong = (classes < 0) | (classes >= self.num_classes)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f'image {int(images[first])} has class id '
                f'{int(classes[first])}, outside 0..{self.num_classes - 1}')
        table = np.zeros((len(labels), max(self.num_classes, 1)), bool)
        table[images, classes] = True
        packed = np.ascontiguousarray(np.packbits(table, axis=1))
        images, classes = np.nonzero(table)  # sorted, no id twice
        rows = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
        return classes, images, rows

    def _draw(self, classes: np.ndarray, owner: np.ndarray,
              set_ids: np.ndarray, keys: np.ndarray, exclude: np.ndarray,
              size: int, match: str, seed: int,
              epoch: Union[int, np.ndarray]) -> np.ndarray:
        """The draw itself; ``classes[i]`` belongs to anchor ``owner[i]``."""
        if match not in MATCHES:
            raise InputError(f'match={match!r} is not one of {MATCHES}')
        num = len(keys)
        if size <= 0 or num == 0:
            return np.zeros((num, max(size, 0)), np.int64)
        if self.num_images == 1 and (exclude >= 0).any():
            raise InputError('a group needs at least 2 images, the list '
                             'has 1: use group_size=1')
        base = np.atleast_1d(np.asarray(epoch, dtype=np.int64))
        base = splitmix64(base.astype(np.uint64))
        seed_bits = np.array([seed % (1 << 64)], dtype=np.uint64)
        base = splitmix64(base ^ splitmix64(seed_bits))
        base = splitmix64(base ^ splitmix64(keys))  # (n, )
        inside = (exclude >= 0).astype(np.int64)

        # any other image: the whole list is the pool
        start = np.full(num, -1, np.int64)  # -1: the whole list
        count = np.full(num, self.num_images, np.int64)
        if match != 'none':
            # one class per anchor, so that the whole group shares it
            usable = self._class_counts[classes] - inside[owner] > 0
            classes, owner = classes[usable], owner[usable]
            choices = np.bincount(owner, minlength=num)
            first = np.concatenate([[0], np.cumsum(choices)])[:-1]
            has = choices > 0
            turn = _below(base, _CLASS_SLOT, choices)
            if match == 'each':
                return self._draw_each(base, classes, first, choices, turn,
                                       exclude, size)
            pick = first + turn
            chosen = classes[pick[has]]
            start[has] = self._class_ptr[chosen]
            count[has] = self._class_counts[chosen]
            if match == 'exact':
                labelled = np.bincount(owner, minlength=num) > 0
                ids = np.where(set_ids >= 0, set_ids, 0)
                same = labelled & (set_ids >= 0)
                same &= self._set_counts[ids] - inside > 0
                start[same] = self._set_ptr[ids[same]]
                count[same] = self._set_counts[ids[same]]

        taken = np.full((num, 1), np.iinfo(np.int64).max)
        rows = np.flatnonzero(inside)
        taken[rows, 0] = self._position(start[rows], count[rows],
                                        exclude[rows])
        free = count - inside
        out = np.empty((num, size), np.int64)
        for slot in range(size):
            # uniform over what is left, then step over what is taken
            left = np.maximum(free - slot, 1)
            where = _below(base, slot, left)
            for column in range(taken.shape[1]):
                where += where >= taken[:, column]
            done = slot >= free  # pool used up: repeat it
            new = np.where(done, np.iinfo(np.int64).max, where)
            taken = np.sort(
                np.concatenate([taken, new[:, None]], axis=1), axis=1)
            again = np.flatnonzero(done)
            where[again] = 0
            out[:, slot] = self._at(start, where)
            out[again, slot] = out[again, slot % free[again]]
        return out

    def _draw_each(self, base: np.ndarray, classes: np.ndarray,
                   first: np.ndarray, choices: np.ndarray, turn: np.ndarray,
                   exclude: np.ndarray, size: int) -> np.ndarray:
        """A class for each slot; nobody twice while its pool allows it."""
        far = np.iinfo(np.int64).max
        has = choices > 0
        drawn = exclude[:, None]
        for slot in range(size):
            start = np.full(len(base), -1, np.int64)
            count = np.full(len(base), self.num_images, np.int64)
            pick = (first + (turn + slot) % np.maximum(choices, 1))[has]
            start[has] = self._class_ptr[classes[pick]]
            count[has] = self._class_counts[classes[pick]]
            # where those already there stand in this slot's pool
            taken = np.full(drawn.shape, far)
            for column in range(drawn.shape[1]):
                image = drawn[:, column]
                where = self._position(start, count, image)
                found = self._at(start, where) == image
                # the same image twice is one place in the pool
                found &= ~(taken == where[:, None]).any(axis=1)
                taken[found, column] = where[found]
            used_up = (taken < far).sum(axis=1) >= count
            taken[used_up, 1:] = far  # repeat, but never the anchor
            free = count - (taken < far).sum(axis=1)
            where = _below(base, slot, np.maximum(free, 1))
            for column in np.sort(taken, axis=1).T:
                where += where >= column
            drawn = np.concatenate(
                [drawn, self._at(start, where)[:, None]], axis=1)
        return drawn[:, 1:]

    def _at(self, start: np.ndarray, where: np.ndarray) -> np.ndarray:
        """Images at places of their pools; ``start=-1`` is the list."""
        image = where.copy()
        inner = start >= 0
        image[inner] = self._pool[(start + where)[inner]]
        return image

    def _position(self, start: np.ndarray, count: np.ndarray,
                  image: np.ndarray) -> np.ndarray:
        """Binary search of ``image`` in its ascending pool segment."""
        low = np.zeros(len(start), np.int64)
        high = count - 1
        whole = start < 0
        while (low < high).any():
            mid = (low + high) // 2
            value = np.where(whole, mid, 0)
            value[~whole] = self._pool[(start + mid)[~whole]]
            less = value < image
            low = np.where(less & (low < high), mid + 1, low)
            high = np.where(~less & (low <= high), np.minimum(mid, high), high)
        return low


def _ranges(starts: np.ndarray,
            counts: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Owner and position of every element of several ranges."""
    owner = np.repeat(np.arange(len(starts)), counts)
    ends = np.cumsum(counts)
    inner = np.arange(len(owner)) - np.repeat(ends - counts, counts)
    return owner, starts[owner] + inner


def _below(base: np.ndarray, slot: int, bound: np.ndarray) -> np.ndarray:
    """Uniform int64 in ``[0, bound)`` (0 where the bound is 0)."""
    slot_bits = splitmix64(np.array([slot], dtype=np.uint64))
    bits = splitmix64(base ^ slot_bits) >> np.uint64(32)
    return ((bits * bound.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)
