# Copyright (c) group_wsss contributors. All rights reserved.
"""Which images can stand in one group: class -> images, set -> images."""
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import numpy as np

from ..utils.errors import InputError
from .label_draws import MATCHES, Classes, PartnerDraws
from .label_index_files import fingerprint_of, load_index, save_index
from .label_sets import (flatten_labels, label_set_ids, ranges, segments,
                         smallest_int, tidy_labels)

__all__ = ['LabelIndex', 'MATCHES']


class LabelIndex(PartnerDraws):
    """Draw group partners in constant time per image.

    Every draw is a counter-based random number of (seed, epoch, key of the
    anchor, slot): it does not depend on the batch, the rank or on which
    other anchors are asked for. What a draw costs depends on the size of
    the group and the labels of its images, not on the number of images.

    An image takes 8 bytes and a pair of image and class 4 more, below 2^31
    of them; a distinct label set takes 8, and 2 for each of its classes.

    Args:
        labels (Sequence[Sequence[int]]): 0-based class ids of every image;
            an image may have none.
        num_classes (int): Number of classes ``C``.
        keys (np.ndarray, optional): uint64 ``(N, )``, what a draw depends on
            besides seed and epoch. Defaults to the position in ``labels``.

    Raises:
        InputError: A class id outside ``[0, C)``, or no image at all.
    """

    # folder and fingerprint of a mapped index
    _source: Optional[Tuple[str, str]] = None

    def __init__(self,
                 labels: Sequence[Sequence[int]],
                 num_classes: int,
                 keys: Optional[np.ndarray] = None) -> None:
        self._build(*flatten_labels(labels), num_classes, keys)

    @classmethod
    def from_arrays(cls,
                    lengths: np.ndarray,
                    classes: np.ndarray,
                    num_classes: int,
                    keys: Optional[np.ndarray] = None) -> 'LabelIndex':
        """The same from flat arrays, for lists of many millions.

        Args:
            lengths (np.ndarray): int ``(N, )``, class ids of every image.
            classes (np.ndarray): int, the class ids one behind the other.
            num_classes, keys: As for the class.

        Returns:
            LabelIndex: As made from the lists.

        Raises:
            InputError: As by the class; lengths and class ids do not fit.
        """
        lengths = np.asarray(lengths).astype(np.int64, copy=False)
        classes = np.asarray(classes).astype(np.int64, copy=False)
        if lengths.ndim != 1 or classes.ndim != 1 or (
                lengths.min(initial=0) < 0 or lengths.sum() != len(classes)):
            raise InputError('lengths must be counts of class ids that add '
                             f'up to {classes.size}')
        index = cls.__new__(cls)
        index._build(lengths, classes, num_classes, keys)
        return index

    @classmethod
    def load(cls,
             folder: str,
             mmap: bool = True,
             fingerprint: Optional[str] = None,
             verify: bool = True) -> 'LabelIndex':
        """Open an index that :meth:`save` wrote.

        Args:
            folder (str): Where it is.
            mmap (bool): Map the files read-only instead of reading them:
                processes of a machine share the pages. Defaults to True.
            fingerprint (str, optional): What :attr:`fingerprint` must be.
            verify (bool): Read everything once and compare it with the
                fingerprint. Defaults to True.

        Returns:
            LabelIndex: Draws as the saved one.

        Raises:
            InputError: Files missing, damaged, of another version, or of
                other labels than ``fingerprint``.
        """
        header, arrays = load_index(folder, mmap, fingerprint, verify)
        index = cls.__new__(cls)
        super(LabelIndex, index).__init__(header['num_images'],
                                          header['num_classes'], arrays)
        if mmap:
            index._source = (folder, header['fingerprint'])
        return index

    def save(self, folder: str) -> str:
        """Write the index, whole or not at all, for :meth:`load`.

        Args:
            folder (str): Created where needed; an index that is there is
                replaced, and stays readable for who has it open.

        Returns:
            str: :attr:`fingerprint`.

        Raises:
            InputError: The folder cannot be written.
        """
        return save_index(folder, self.num_images, self.num_classes,
                          self.arrays)

    def _build(self, lengths: np.ndarray, classes: np.ndarray,
               num_classes: int, keys: Optional[np.ndarray]) -> None:
        num_images, num_classes = len(lengths), int(num_classes)
        if num_images == 0:
            raise InputError('the image list is empty: no groups to draw')
        lengths, classes = tidy_labels(lengths, classes, num_classes)
        number = smallest_int(num_images + len(classes))
        everyone = np.arange(num_images, dtype=number)
        # label set -> images, ascending
        set_of = label_set_ids(lengths, classes, num_classes)
        num_sets = int(set_of.max()) + 1
        set_of = set_of.astype(number)
        by_set, set_ptr = segments(everyone, set_of, num_sets)
        # label set -> classes, as its first image has them
        first = by_set[set_ptr[:-1]]
        starts = np.cumsum(lengths) - lengths
        _, flat = ranges(starts[first], lengths[first])
        set_class_ptr = np.concatenate([[0], np.cumsum(lengths[first])])
        # class -> images, ascending
        by_class, class_ptr = segments(
            np.repeat(everyone, lengths), classes, num_classes)
        arrays = dict(
            set_of=set_of,
            pool=np.concatenate([by_class, by_set]),
            set_ptr=(set_ptr + len(by_class)).astype(number),
            set_classes=classes[flat],
            set_class_ptr=set_class_ptr.astype(number),
            class_ptr=class_ptr.astype(np.int64))
        if keys is not None:
            arrays['keys'] = np.asarray(keys, dtype=np.uint64)
            assert arrays['keys'].shape == (num_images, ), 'one key per image'
        super().__init__(num_images, num_classes, arrays)

    def __getstate__(self) -> Dict[str, Any]:
        """A mapped index travels to a worker as the name of its folder."""
        if self._source is not None:
            return dict(source=self._source)
        return dict(
            num_images=self.num_images,
            num_classes=self.num_classes,
            arrays=self.arrays)

    def __setstate__(self, state: Dict[str, Any]) -> None:
        if 'source' in state:
            folder, fingerprint = state['source']
            self.__dict__ = vars(
                LabelIndex.load(folder, True, fingerprint, verify=False))
        else:
            super().__init__(**state)

    @property
    def keys(self) -> np.ndarray:
        """What draws depend on besides seed and epoch, uint64 ``(N, )``."""
        return self._keys_of(np.arange(self.num_images))

    @property
    def class_counts(self) -> np.ndarray:
        """Images of every class, int64 ``(C, )``."""
        return self._class_counts.copy()

    @property
    def set_sizes(self) -> np.ndarray:
        """Images of every distinct label set that occurs, int64."""
        return np.diff(self._set_ptr).astype(np.int64)

    @property
    def set_table(self) -> Tuple[np.ndarray, np.ndarray]:
        """All distinct label sets, in the order of :attr:`set_sizes`.

        int64: how many classes each has, and these one behind the other.
        """
        lengths = np.diff(self._set_class_ptr).astype(np.int64)
        return lengths, self._set_classes.astype(np.int64)

    @property
    def max_group(self) -> int:
        """Largest ``K`` for which some class has ``K`` images."""
        return int(self._class_counts.max()) if self.num_classes else 0

    @property
    def num_pairs(self) -> int:
        """Pairs of an image and one of its classes."""
        return int(self._class_ptr[-1])

    @property
    def nbytes(self) -> int:
        """Bytes of the index, in memory or mapped."""
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def fingerprint(self) -> str:
        """Hash of all labels and keys, 32 hexadecimal digits."""
        return fingerprint_of(self.num_images, self.num_classes, self.arrays)

    def labels_of(self, image: int) -> np.ndarray:
        """Class ids of an image.

        Args:
            image (int): Its position.

        Returns:
            np.ndarray: int64, ascending.
        """
        number = int(self._set_of[image])
        start, end = self._set_class_ptr[number:number + 2]
        return self._set_classes[start:end].astype(np.int64)

    def _keys_of(self, images: np.ndarray) -> np.ndarray:
        if 'keys' in self.arrays:
            return self.arrays['keys'][images]
        return images.astype(np.uint64)

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
        set_ids = self._set_of[anchors]

        def classes_of(rows: np.ndarray) -> Classes:
            sets = set_ids[rows]
            starts = self._set_class_ptr[sets]
            owner, flat = ranges(starts,
                                 self._set_class_ptr[sets + 1] - starts)
            return self._set_classes[flat], owner

        return self._draw(classes_of, set_ids, self._keys_of(anchors), anchors,
                          size, match, seed, epoch)

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
        lengths, classes = tidy_labels(*flatten_labels(labels),
                                       self.num_classes)
        set_ids = np.full(len(keys), -1, np.int64)
        if match == 'exact':
            set_ids = self._find_sets(lengths, classes)
        starts = np.cumsum(lengths) - lengths

        def classes_of(rows: np.ndarray) -> Classes:
            owner, flat = ranges(starts[rows], lengths[rows])
            return classes[flat], owner

        return self._draw(classes_of, set_ids, keys, exclude, size, match,
                          seed, epoch)

    def _find_sets(self, lengths: np.ndarray,
                   classes: np.ndarray) -> np.ndarray:
        """Numbers of label sets, -1 for those that the index has not."""
        known, table = self.set_table
        ids = label_set_ids(
            np.concatenate([known, lengths]), np.concatenate([table, classes]),
            self.num_classes)
        number = np.full(ids.max() + 1, -1, dtype=np.int64)
        number[ids[:len(known)]] = np.arange(len(known))
        return number[ids[len(known):]]
