# Copyright (c) group_wsss contributors. All rights reserved.
"""The draw of group partners from pools of images."""
from typing import Callable, Dict, Tuple, Union

import numpy as np

from ..utils.errors import InputError

# class ids, and the place of the anchor of each
Classes = Tuple[np.ndarray, np.ndarray]
MATCHES = ('exact', 'any', 'each', 'none')

# slot number of the draw that picks a class; partner slots count from 0
_CLASS_SLOT = 1 << 32
# behind every image: nothing is taken
_FAR = np.iinfo(np.int64).max


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


class PartnerDraws:
    """Draws of a :class:`LabelIndex`, which builds or loads the arrays.

    Attributes:
        num_images, num_classes (int): ``N`` and ``C``.
        arrays (dict[str, np.ndarray]): ``set_of`` ``(N, )``, label set of
            every image; ``pool``, images of class after class, then of set
            after set, ascending in each; ``class_ptr`` ``(C + 1, )`` and
            ``set_ptr`` ``(S + 1, )``, where they start in it;
            ``set_classes``, classes of set after set, ascending, and
            ``set_class_ptr`` ``(S + 1, )``; ``keys`` ``(N, )``, optional.
    """

    def __init__(self, num_images: int, num_classes: int,
                 arrays: Dict[str, np.ndarray]) -> None:
        self.num_images, self.num_classes = num_images, num_classes
        self.arrays = arrays
        self._set_of, self._pool = arrays['set_of'], arrays['pool']
        self._set_ptr = arrays['set_ptr']
        self._set_classes = arrays['set_classes']
        self._set_class_ptr = arrays['set_class_ptr']
        self._class_ptr = arrays['class_ptr']
        self._class_counts = np.diff(self._class_ptr)

    def _draw(self, classes_of: Callable[[np.ndarray],
                                         Classes], set_ids: np.ndarray,
              keys: np.ndarray, exclude: np.ndarray, size: int, match: str,
              seed: int, epoch: Union[int, np.ndarray]) -> np.ndarray:
        """The draw itself; ``classes_of`` tells the classes of some anchors.

        It takes positions in ``keys``, ascending, and gives class ids and
        the place of their anchor among those positions, ascending.
        """
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
        rows = np.arange(num if match != 'none' else 0)
        if match == 'exact':
            ids = np.maximum(set_ids, 0)
            low = self._set_ptr[ids]
            sizes = self._set_ptr[ids + 1] - low
            same = (sizes > inside) & (set_ids >= 0)
            # no class: any image will do, not those without one alone
            same &= self._set_class_ptr[ids + 1] > self._set_class_ptr[ids]
            start = np.where(same, low, start)
            count = np.where(same, sizes, count)
            rows = np.flatnonzero(~same)
        if len(rows):
            # one class per anchor, so that the whole group shares it
            classes, owner = classes_of(rows)
            usable = self._class_counts[classes] > inside[rows][owner]
            classes, owner = classes[usable], owner[usable]
            choices = np.bincount(owner, minlength=len(rows))
            first = np.cumsum(choices) - choices
            turn = _below(base[rows], _CLASS_SLOT, choices)
            if match == 'each':
                return self._draw_each(base, classes, first, choices, turn,
                                       exclude, size)
            has = choices > 0
            chosen = classes[(first + turn)[has]]
            start[rows[has]] = self._class_ptr[chosen]
            count[rows[has]] = self._class_counts[chosen]

        # pools ascend, so stepping over an image needs no look for its place
        taken = [np.where(exclude >= 0, exclude, _FAR)]
        free = count - inside
        out = np.empty((num, size), np.int64)
        for slot in range(size):
            # uniform over what is left, then step over what is taken
            left = np.maximum(free - slot, 1)
            where = _below(base, slot, left)
            for column in taken:
                # in a pool that is used up the step may lead out of it
                where = np.minimum(where, count - 1)
                where += self._at(start, where) >= column
            again = np.flatnonzero(slot >= free)  # pool used up: repeat it
            where[again] = 0
            new = self._at(start, where)
            out[:, slot] = new
            new[again] = _FAR
            # in its place among those taken, which ascend in every row
            for i, column in enumerate(taken):
                taken[i], new = np.minimum(column,
                                           new), np.maximum(column, new)
            taken.append(new)
            out[again, slot] = out[again, slot % free[again]]
        return out

    def _draw_each(self, base: np.ndarray, classes: np.ndarray,
                   first: np.ndarray, choices: np.ndarray, turn: np.ndarray,
                   exclude: np.ndarray, size: int) -> np.ndarray:
        """A class for each slot; nobody twice while its pool allows it."""
        has = choices > 0
        drawn = exclude[:, None]
        for slot in range(size):
            start = np.full(len(base), -1, np.int64)
            count = np.full(len(base), self.num_images, np.int64)
            chosen = np.full(len(base), -1, np.int64)
            pick = (first + (turn + slot) % np.maximum(choices, 1))[has]
            chosen[has] = classes[pick]
            start[has] = self._class_ptr[chosen[has]]
            count[has] = self._class_counts[chosen[has]]
            # those already there that stand in this slot's pool
            taken = np.full(drawn.shape, _FAR)
            for column, image in enumerate(drawn.T):
                found = self._is_in(image, chosen)
                found &= ~(taken == image[:, None]).any(axis=1)
                taken[found, column] = image[found]
            used_up = (taken < _FAR).sum(axis=1) >= count
            taken[used_up, 1:] = _FAR  # repeat, but never the anchor
            free = count - (taken < _FAR).sum(axis=1)
            where = _below(base, slot, np.maximum(free, 1))
            for column in np.sort(taken, axis=1).T:
                where += self._at(start, where) >= column
            drawn = np.concatenate(
                [drawn, self._at(start, where)[:, None]], axis=1)
        return drawn[:, 1:]

    def _at(self, start: np.ndarray, where: np.ndarray) -> np.ndarray:
        """Images at places of their pools; ``start=-1`` is the list."""
        inner = start >= 0
        if inner.all():
            return self._pool.take(start + where).astype(np.int64)
        image = where.copy()
        image[inner] = self._pool[(start + where)[inner]]
        return image

    def _is_in(self, image: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Whether images have a class; all have -1, image -1 has none."""
        known = image >= 0
        number = self._set_of[np.where(known, image, 0)]
        low = self._set_class_ptr[number].astype(np.int64)
        end = self._set_class_ptr[number + 1].astype(np.int64)
        high = np.where(known, end, low)
        end = high
        while (low < high).any():
            mid = (low + high) // 2
            open_ = low < high
            value = self._set_classes[np.where(open_, mid, 0)]
            less = value < chosen
            low = np.where(open_ & less, mid + 1, low)
            high = np.where(open_ & ~less, mid, high)
        found = low < end
        found[found] = self._set_classes[low[found]] == chosen[found]
        return found | (known & (chosen < 0))


def _below(base: np.ndarray, slot: int, bound: np.ndarray) -> np.ndarray:
    """Uniform int64 in ``[0, bound)`` (0 where the bound is 0)."""
    slot_bits = splitmix64(np.array([slot], dtype=np.uint64))
    bits = splitmix64(base ^ slot_bits) >> np.uint64(32)
    return ((bits * bound.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)
