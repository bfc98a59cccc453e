# Copyright (c) group_wsss contributors. All rights reserved.
"""Label index of arrays, built without a loop and mapped from files."""
import os.path as osp
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np

from ...datasets.label_index import LabelIndex, Rows
from ...utils.errors import InputError
from .index_files import HEADER, fingerprint_of, read_index, write_index
from .label_arrays import (flatten_labels, label_set_ids, segments,
                           smallest_int, tidy_labels)

# images of which the labels are compared with those of a saved index
_SAMPLES = 256


class MappedLabelIndex(LabelIndex):
    """The same draws as :class:`LabelIndex` for lists of many millions.

    An image takes 8 bytes and a pair of image and class 4 more, below 2^31
    of them; a distinct label set takes 8, and 2 for each of its classes.
    Made by :meth:`from_arrays` or :meth:`load`.

    Args:
        arrays (dict[str, np.ndarray]): See :mod:`.index_files`.
        num_classes (int): Number of classes ``C``.
        source (tuple[str, str], optional): Folder and fingerprint of an
            index that is mapped. Defaults to None.
    """

    def __init__(self,
                 arrays: Dict[str, np.ndarray],
                 num_classes: int,
                 source: Optional[Tuple[str, str]] = None) -> None:
        self.arrays, self.num_classes = arrays, num_classes
        self._source = source
        self.set_of = arrays['set_of']
        self.num_images = len(self.set_of)
        self.set_classes = Rows(arrays['set_class_starts'],
                                arrays['set_classes'])
        self.set_images = Rows(arrays['set_image_starts'],
                               arrays['set_images'])
        self.class_images = Rows(arrays['class_image_starts'],
                                 arrays['class_images'])

    @classmethod
    def from_arrays(cls, lengths: np.ndarray, classes: np.ndarray,
                    num_classes: int) -> 'MappedLabelIndex':
        """Build the index from flat arrays.

        Args:
            lengths (np.ndarray): int ``(N, )``, class ids of every image.
            classes (np.ndarray): int, the class ids one behind the other.
            num_classes (int): Number of classes ``C``.

        Returns:
            MappedLabelIndex: In memory.

        Raises:
            InputError: A class id outside ``[0, C)``, no image at all, or
                lengths and class ids that do not fit.
        """
        lengths = np.asarray(lengths).astype(np.int64, copy=False)
        classes = np.asarray(classes).astype(np.int64, copy=False)
        if lengths.ndim != 1 or classes.ndim != 1 or (
                lengths.min(initial=0) < 0 or lengths.sum() != len(classes)):
            raise InputError('lengths must be counts of class ids that add '
                             f'up to {classes.size}')
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
        arrays = dict(
            set_of=set_of,
            set_classes=classes[flat],
            set_class_starts=starts.astype(number),
            set_images=set_images,
            set_image_starts=set_starts.astype(number),
            class_images=class_images,
            class_image_starts=class_starts)
        return cls(arrays, num_classes)

    @classmethod
    def load(cls,
             folder: str,
             fingerprint: Optional[str] = None,
             verify: bool = True) -> 'MappedLabelIndex':
        """Map an index that :meth:`save` wrote, read-only.

        Processes of a machine share the pages.

        Args:
            folder (str): Where it is.
            fingerprint (str, optional): What :attr:`fingerprint` must be.
            verify (bool): Read everything once and compare it with the
                fingerprint. Defaults to True.

        Returns:
            MappedLabelIndex: Draws as the saved one.

        Raises:
            InputError: Files missing, damaged, of another version, or of
                other labels than ``fingerprint``.
        """
        header, arrays = read_index(folder, fingerprint, verify)
        return cls(arrays, header['num_classes'],
                   (folder, header['fingerprint']))

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
        return write_index(folder, self.num_classes, self.arrays)

    def __reduce__(self) -> Tuple[Any, ...]:
        """A mapped index travels to a worker as the name of its folder."""
        if self._source is None:
            return type(self), (self.arrays, self.num_classes)
        folder, fingerprint = self._source
        return type(self).load, (folder, fingerprint, False)

    @property
    def nbytes(self) -> int:
        """Bytes of the index, in memory or mapped."""
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def fingerprint(self) -> str:
        """Hash of all labels, 32 hexadecimal digits."""
        return fingerprint_of(self.num_classes, self.arrays)


def mapped_index(folder: str,
                 read: Callable[[], Sequence[Sequence[int]]],
                 dataset: Any,
                 labels: Optional[Sequence[Sequence[int]]] = None,
                 num_classes: Optional[int] = None) -> MappedLabelIndex:
    """The index of a folder, built there first if it holds none.

    For ``index`` of :class:`~group_wsss.datasets.GroupBatchSampler`, which
    gives all arguments but the folder. An index that is there is compared
    with some images of the dataset; no other labels are read.

    Args:
        folder (str): Where the index is or will be.
        read (Callable): Gives the class ids of every image.
        dataset (Any): What the index must be of.
        labels (Sequence[Sequence[int]], optional): Class ids of every image,
            if they are there already. Defaults to those of the dataset.
        num_classes (int, optional): Defaults to the largest id plus one.

    Returns:
        MappedLabelIndex: Mapped into memory.

    Raises:
        InputError: As by :meth:`MappedLabelIndex.load`, or an index of
            other images.
    """
    if not osp.isfile(osp.join(folder, HEADER)):
        lengths, classes = flatten_labels(read())
        if num_classes is None:
            num_classes = 1 + int(classes.max(initial=-1))
        index = MappedLabelIndex.from_arrays(lengths, classes, num_classes)
        index.save(folder)
        return MappedLabelIndex.load(folder, verify=False)
    index = MappedLabelIndex.load(folder)
    if index.num_images != len(dataset):
        raise InputError(f'{folder}: a label index of {index.num_images} '
                         f'images, the dataset has {len(dataset)}')
    for i in np.linspace(0, len(dataset) - 1, _SAMPLES).astype(int).tolist():
        try:
            ids = dataset.get_cat_ids(i) if labels is None else labels[i]
        except (AttributeError, NotImplementedError):
            break  # the dataset knows no labels
        if sorted({int(c) for c in ids}) != index.labels_of(i):
            raise InputError(
                f'{folder}: image {i} has other labels in the dataset than '
                'in the label index; remove the folder to build it again')
    return index
