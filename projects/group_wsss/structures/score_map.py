# Copyright (c) group_wsss contributors. All rights reserved.
"""The contract between class maps and everything that reads them."""
import copy
from typing import Any, Iterator, Optional, Sequence, Tuple

import cv2
import numpy as np

from ..utils.errors import InputError, NonFiniteError, one_line
from ..utils.files import check_image_id
from .arrays import read_arrays, write_arrays
from .label_image import IGNORE_INDEX

# labels are uint8: 0 background, class id + 1, IGNORE_INDEX
MAX_CLASS_ID = IGNORE_INDEX - 2
_KEYS = ('img_id', 'ori_shape', 'class_ids', 'maps')


def resize_maps(maps: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Resize bilinearly, ``align_corners=False``, not antialiased.

    OpenCV agrees with ``torch.nn.functional.interpolate`` within 1e-5 and
    is faster on a CPU for a few maps (docs/performance.md, label images).

    Args:
        maps (np.ndarray): float32 ``(n, h, w)`` in [0, 1].
        size (tuple[int, int]): Height and width.

    Returns:
        np.ndarray: float32 ``(n, *size)`` in [0, 1].
    """
    # OpenCV would silently write elsewhere if the types were not the same
    maps = np.asarray(maps, dtype=np.float32)
    resized = np.empty((len(maps), *size), dtype=np.float32)
    for small, large in zip(maps, resized):
        cv2.resize(
            small, size[::-1], dst=large, interpolation=cv2.INTER_LINEAR)
    return np.clip(resized, 0, 1, out=resized)


class ScoreMap:
    """The classes known to be in an image, each with a map in [0, 1].

    Classes are kept in ascending order of their id whatever order they were
    given in, so that ties and merges do not depend on it.

    Args:
        img_id (str): Image id.
        ori_shape (Sequence[int]): Height and width of the image in
            pixels.
        class_ids (Sequence[int] | np.ndarray | Tensor): The ``n`` present
            classes, 0-based, no repeats; may be empty.
        maps (np.ndarray | Tensor): ``(n, h, w)`` in [0, 1], at image size
            or at a smaller one.

    Raises:
        InputError: A map holds NaN, an infinity or a value outside [0, 1].
    """

    def __init__(self, img_id: str, ori_shape: Sequence[int], class_ids: Any,
                 maps: Any) -> None:
        self.img_id = check_image_id(img_id)
        self.ori_shape = (int(ori_shape[0]), int(ori_shape[1]))
        class_ids = _to_numpy(class_ids).astype(np.int64).reshape(-1)
        maps = _to_numpy(maps).astype(np.float32, copy=False)
        assert maps.ndim == 3 and len(maps) == len(class_ids), (
            f'{img_id}: {len(class_ids)} classes need maps (n, h, w), got '
            f'{maps.shape}')
        assert min(maps.shape[1:] + self.ori_shape) > 0, (
            f'{img_id}: empty map {maps.shape} or image {self.ori_shape}')
        assert len(np.unique(class_ids)) == len(class_ids), (
            f'{img_id}: repeated class ids {class_ids.tolist()}')
        if len(class_ids) and not (0 <= class_ids.min()
                                   and class_ids.max() <= MAX_CLASS_ID):
            raise InputError(f'{img_id}: class ids {class_ids.tolist()} are '
                             f'not all in 0..{MAX_CLASS_ID}')
        # NaN fails both comparisons
        if maps.size and not (maps.min() >= 0 and maps.max() <= 1):
            raise InputError(f'{img_id}: class maps are not all in [0, 1]')
        order = np.argsort(class_ids)
        self.class_ids = class_ids[order]
        self.maps = np.ascontiguousarray(maps[order])

    @classmethod
    def from_class_maps(cls, img_id: str, ori_shape: Sequence[int],
                        class_ids: Any, class_maps: Any) -> 'ScoreMap':
        """Divide each class map by its own maximum, as CAM does.

        Negative values count as 0. A map without a positive value stays 0.

        Args:
            img_id (str): Image id.
            ori_shape (Sequence[int]): Height and width of the image.
            class_ids (Sequence[int]): Present classes.
            class_maps (Tensor or np.ndarray): ``(n, h, w)``.

        Returns:
            ScoreMap: The normalised maps.

        Raises:
            NonFiniteError: A map holds NaN or an infinity; the id is named.
        """
        maps = _to_numpy(class_maps).astype(np.float32)
        if not np.isfinite(maps).all():
            raise NonFiniteError(f'{img_id}: class maps hold NaN or infinity; '
                                 'the model has diverged')
        maps = np.maximum(maps, 0)
        peak = maps.max(axis=(1, 2), keepdims=True, initial=0)
        return cls(img_id, ori_shape, class_ids,
                   maps / np.where(peak > 0, peak, 1))

    @classmethod
    def from_sample(cls, sample: Any) -> 'ScoreMap':
        """Read what the model's ``predict`` left in a data sample.

        Args:
            sample (DataSample or dict): With ``img_id``, ``ori_shape``,
                ``class_ids`` ``(n, )`` and ``class_maps`` ``(n, h, w)``.

        Returns:
            ScoreMap: The normalised maps.

        Raises:
            InputError: A field is missing; it is named.
        """
        keys = ('img_id', 'ori_shape', 'class_ids', 'class_maps')
        values = [sample.get(key, None) for key in keys]
        for key, value in zip(keys, values):
            if value is None:
                raise InputError(
                    f'data sample of image {values[0]!r} has no {key!r}: pack '
                    'img_id and ori_shape (meta_keys of PackInputs) and use a '
                    'model that predicts class maps, such as '
                    'group_wsss.GroupCAM')
        return cls.from_class_maps(*values)

    def require_classes(self, count: int, where: str) -> None:
        """Refuse class ids beyond the classes that there are.

        Args:
            count (int): Number of classes, without background.
            where (str): Whose maps these are, for the message.

        Raises:
            InputError: An id of ``count`` or more.
        """
        if self.class_ids.size and self.class_ids[-1] >= count:
            raise InputError(f'{where}: class id {self.class_ids[-1]} with '
                             f'{count} classes')

    def resize(self, size: Optional[Tuple[int, int]] = None) -> 'ScoreMap':
        """Bilinear resize, ``align_corners=False``.

        Args:
            size (tuple[int, int], optional): Height and width. Defaults to
                the image's.

        Returns:
            ScoreMap: Of that size; ``self`` if it has it already.
        """
        size = self.ori_shape if size is None else (size[0], size[1])
        if self.maps.shape[1:] == size:
            return self
        # all is checked and in order, and maps at image size are large
        resized = copy.copy(self)
        resized.maps = resize_maps(self.maps, size)
        return resized

    def full_maps(self) -> Iterator[np.ndarray]:
        """Give the maps at the image's size, one at a time.

        No more than one is in memory, however large the image; bytes are
        those of :meth:`resize`.

        Yields:
            np.ndarray: float32 ``(H, W)``, by class id.
        """
        for one in self.maps:
            if one.shape == self.ori_shape:
                yield one
            else:
                yield resize_maps(one[None], self.ori_shape)[0]

    def best(self, full: bool = False) -> Tuple[np.ndarray, np.ndarray]:
        """The strongest class of every cell; a tie goes to the lowest id.

        Args:
            full (bool): At the image's size, as after :meth:`resize`, but
                without all maps in memory. Defaults to False.

        Returns:
            tuple[np.ndarray, np.ndarray]: Score float32 ``(h, w)`` and label
            uint8 ``(h, w)`` (class id + 1; 0 where no class is present).
        """
        size = self.ori_shape if full else self.maps.shape[1:]
        # maps are not negative
        score = np.full(size, -1 if len(self.maps) else 0, np.float32)
        label = np.zeros(size, np.uint8)
        # map by map: argmax along the first axis strides through memory
        for number, one in zip((self.class_ids + 1).astype(np.uint8),
                               self.full_maps() if full else self.maps):
            np.copyto(label, number, where=one > score)
            np.maximum(score, one, out=score)
        return score, label

    def merge_max(self, other: 'ScoreMap') -> 'ScoreMap':
        """Element-wise maximum; classes of either side are kept.

        Maps of different size meet on the larger height and width, so the
        size of the result does not depend on the order of merges.

        Args:
            other (ScoreMap): Of the same image.

        Returns:
            ScoreMap: The merged maps.
        """
        if (self.img_id, self.ori_shape) != (other.img_id, other.ori_shape):
            raise InputError(
                f'{self.img_id} {self.ori_shape}: cannot merge with maps of '
                f'{other.img_id} {other.ori_shape}')
        size = (max(self.maps.shape[1], other.maps.shape[1]),
                max(self.maps.shape[2], other.maps.shape[2]))
        class_ids = np.union1d(self.class_ids, other.class_ids)
        maps = np.zeros((len(class_ids), *size), dtype=np.float32)
        for part in (self.resize(size), other.resize(size)):
            rows = np.searchsorted(class_ids, part.class_ids)
            maps[rows] = np.maximum(maps[rows], part.maps)
        return ScoreMap(self.img_id, self.ori_shape, class_ids, maps)

    def save(self, path: str) -> None:
        """Write an npz with float16 maps and no pickled object, atomically.

        It is compressed: maps at image size are mostly flat.

        Args:
            path (str): Target file.
        """
        write_arrays(
            path,
            img_id=np.array(self.img_id),
            ori_shape=np.array(self.ori_shape, dtype=np.int64),
            class_ids=self.class_ids,
            maps=self.maps.astype(np.float16))

    @classmethod
    def load(cls, path: str) -> 'ScoreMap':
        """Read a file of :meth:`save`; never executes code from it.

        Args:
            path (str): An npz file.

        Returns:
            ScoreMap: What was saved, within float16.

        Raises:
            InputError: Missing, damaged, or not a score map.
        """
        arrays = read_arrays(path, _KEYS, 'score map')
        img_id, ori_shape, class_ids, maps = arrays
        if not (img_id.dtype.kind == 'U' and img_id.ndim == 0
                and ori_shape.shape == (2, ) and ori_shape.dtype.kind == 'i'
                and ori_shape.min() > 0 and class_ids.dtype.kind == 'i'
                and class_ids.ndim == 1 and maps.dtype == np.float16
                and maps.ndim == 3 and len(maps) == len(class_ids)
                and min(maps.shape[1:]) > 0
                and len(np.unique(class_ids)) == len(class_ids)):
            raise InputError(f'{path}: not a score map: its arrays have the '
                             'wrong type or shape')
        try:
            return cls(str(img_id), ori_shape.tolist(), class_ids, maps)
        except ValueError as error:
            raise InputError(f'{path}: not a score map: '
                             f'{one_line(error)}') from None

    @classmethod
    def load_of(cls, path: str, img_id: str) -> 'ScoreMap':
        """:meth:`load` a score map that must be that of ``img_id``.

        Raises:
            InputError: As :meth:`load`, or it belongs to another image.
        """
        score_map = cls.load(path)
        if score_map.img_id != img_id:
            raise InputError(f'{path}: holds the maps of image '
                             f'{score_map.img_id!r}, not of {img_id!r}')
        return score_map


def _to_numpy(value: Any) -> np.ndarray:
    """Array of a tensor on any device or of anything array-like."""
    if hasattr(value, 'detach'):  # without importing torch
        value = value.detach().cpu()
        # numpy has no bfloat16
        return (value.float() if value.is_floating_point() else value).numpy()
    return np.asarray(value)
