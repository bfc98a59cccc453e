# Copyright (c) group_wsss contributors. All rights reserved.
"""COCO instances JSON as arrays: what is annotated on which image."""
import json
import os
import os.path as osp
import re
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

import numpy as np
from mmengine.fileio import get as read_bytes

from ..utils.errors import InputError
from ..utils.files import why_unsafe

CROWDS = ('keep', 'ignore')

# names that need no closer look
_PLAIN = re.compile(r'[A-Za-z0-9_-]+\.[A-Za-z0-9]+')
# of an image's side
_MAX_SIDE = 65535


class CocoIndex(NamedTuple):
    """``N`` images, ``A`` annotations and ``C`` classes of a JSON.

    Attributes:
        path (str): The JSON, for messages.
        classes (tuple[str, ...]): Names by ascending category id.
        category_ids (np.ndarray): int64 ``(C, )``, ascending.
        img_ids (list[str]): File names without suffix, in their order.
        file_names (list[str]): Relative to the folder of the images.
        ann_ids (np.ndarray): int64 ``(A, )``.
        owners (np.ndarray): int64 ``(A, )``, position of the image.
        labels (np.ndarray): int64 ``(A, )``, 0-based class ids.
        crowds (np.ndarray): bool ``(A, )``, ``iscrowd``.
        areas (np.ndarray): float64 ``(A, )`` pixels; NaN if not given.
        sizes (np.ndarray, optional): int64 ``(N, 2)``, height and width.
        segmentations (list, optional): Polygons or RLE as they are.
    """
    path: str
    classes: Tuple[str, ...]
    category_ids: np.ndarray
    img_ids: List[str]
    file_names: List[str]
    ann_ids: np.ndarray
    owners: np.ndarray
    labels: np.ndarray
    crowds: np.ndarray
    areas: np.ndarray
    sizes: Optional[np.ndarray] = None
    segmentations: Optional[list] = None

    def tags(self,
             crowd: str = 'keep',
             min_area: float = 0.0) -> Tuple[np.ndarray, np.ndarray]:
        """Image-level labels.

        Args:
            crowd (str): Whether annotations of crowds count: 'keep' or
                'ignore'. Defaults to 'keep'.
            min_area (float): Annotations with fewer pixels do not count.
                Defaults to 0.

        Returns:
            tuple: int64 class ids, sorted and without repeats within a
            image, and int64 ``(N + 1, )`` offsets: those of image
            ``i`` are ``ids[offsets[i]:offsets[i + 1]]``.

        Raises:
            InputError: ``min_area`` without areas in the JSON.
        """
        if crowd not in CROWDS:
            raise InputError(f'crowd={crowd!r} is not one of {CROWDS}')
        if not 0 <= min_area < np.inf:
            raise InputError(f'min_area={min_area!r} must be 0 or more')
        counts = np.ones(len(self.owners), bool)
        if crowd == 'ignore':
            counts &= ~self.crowds
        if min_area > 0:
            unknown = np.flatnonzero(counts & np.isnan(self.areas))
            if unknown.size:
                raise InputError(
                    f'{self.path}: annotation {self.ann_ids[unknown[0]]} has '
                    "no 'area', which min_area needs")
            counts &= self.areas >= min_area
        num = len(self.classes)
        pairs = np.unique(self.owners[counts] * num + self.labels[counts])
        ends = np.arange(1, len(self.img_ids) + 1) * num
        offsets = np.concatenate([[0], np.searchsorted(pairs, ends)])
        return pairs % num, offsets


def read_instances(path: str, masks: bool = False) -> dict:
    """Read an instances JSON.

    Plain ``json``, not ``pycocotools.coco.COCO``: that prints, indexes three
    times what is indexed here, and keeps all polygons.

    Args:
        path (str): The JSON.
        masks (bool): Keep the segmentations. Without, every one is dropped
            as soon as it is parsed. Defaults to False.

    Returns:
        dict: Its content, not checked.

    Raises:
        InputError: Missing, unreadable, or not JSON.
    """

    def drop(entry: dict) -> dict:
        entry.pop('segmentation', None)
        return entry

    try:
        text = read_bytes(path).decode('utf-8-sig')
        return json.loads(text, object_hook=None if masks else drop)
    except FileNotFoundError:
        raise InputError(f'{path}: no such annotation file') from None
    except OSError as error:
        raise InputError(f'{path}: cannot be read: '
                         f'{error.strerror or error}') from None
    except UnicodeDecodeError:
        raise InputError(f'{path}: not UTF-8 text') from None
    except json.JSONDecodeError as error:
        raise InputError(f'{path}:{error.lineno}: not JSON: '
                         f'{error.msg}') from None
    except (RecursionError, ValueError):
        raise InputError(f'{path}: not an instances JSON: nested too deeply '
                         'or a number too long') from None


def index_instances(content: Any, path: str, masks: bool = False) -> CocoIndex:
    """Check the content of an instances JSON and turn it into arrays.

    Args:
        content (Any): Of :func:`read_instances`.
        path (str): The JSON, for messages.
        masks (bool): Take sizes and segmentations as well. Defaults to
            False.

    Returns:
        CocoIndex: Images and annotations in their order.

    Raises:
        InputError: One line naming the file and the entry at fault.
    """
    if not isinstance(content, dict):
        raise InputError(f'{path}: expected an object with images, '
                         'annotations and categories')
    tables = {}
    for key in ('categories', 'images', 'annotations'):
        if not isinstance(content.get(key), list):
            raise InputError(f'{path}: no list {key!r}: not an instances JSON')
        tables[key] = _Table(path, key, content[key])
        if not content[key] and key != 'annotations':
            raise InputError(f'{path}: {key!r} is empty')
    classes, category_ids = _categories(tables['categories'])
    images = tables['images']
    image_ids = images.unique_ids()
    file_names = images.strings('file_name')
    sizes = None
    if masks:
        sizes = np.stack([images.integers(k) for k in ('height', 'width')], 1)
        images.refuse(((sizes < 1) | (sizes > _MAX_SIDE)).any(axis=1),
                      f'height and width must be 1 to {_MAX_SIDE}')
    table = tables['annotations']
    ann_ids = table.unique_ids()
    owners = table.positions('image_id', image_ids, 'images')
    labels = table.positions('category_id', category_ids, 'categories')
    crowds = table.integers('iscrowd', 0)
    table.refuse((crowds != 0) & (crowds != 1), "'iscrowd' is not 0 or 1")
    return CocoIndex(path, classes, category_ids,
                     _image_names(images, file_names), file_names, ann_ids,
                     owners, labels, crowds == 1, table.areas(), sizes,
                     table.column('segmentation', None) if masks else None)


def find_images(index: CocoIndex,
                folder: str,
                strict: bool = False) -> Tuple[List[int], str]:
    """Which images are there, by one listing per folder.

    Args:
        index (CocoIndex): What should be there.
        folder (str): Folder of the images.
        strict (bool): All must be there. Defaults to False.

    Returns:
        tuple: Their positions, and one line about the others, '' if there
        are none.

    Raises:
        InputError: One is missing and ``strict`` is set, or all are.
    """
    listed: Dict[str, Set[str]] = {}
    here = []
    lost = ''
    for place, file_name in enumerate(index.file_names):
        inner, name = osp.split(file_name)
        if inner not in listed:
            listed[inner] = _listing(osp.join(folder, inner))
        if name in listed[inner]:
            here.append(place)
        else:
            lost = lost or file_name
    total = len(index.file_names)
    count = total - len(here)
    if count and (strict or not here):
        raise InputError(f'{osp.join(folder, lost)}: no such image '
                         f'({count} of {total} in {index.path} are missing)')
    if not count:
        return here, ''
    return here, (f'{index.path}: {count} of {total} images are not in '
                  f'{folder}, first {lost}, and are left out')


def _listing(folder: str) -> Set[str]:
    try:
        return set(os.listdir(folder or '.'))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise InputError(f'{folder}: cannot be listed: '
                         f'{error.strerror or error}') from None


def _categories(table: '_Table') -> Tuple[Tuple[str, ...], np.ndarray]:
    """Names and ids by ascending id."""
    ids = table.unique_ids()
    names = table.strings('name')
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f'{table.path}: two categories are called '
                         f'{twice[:80]!r}')
    order = np.argsort(ids)
    return tuple(names[i] for i in order), ids[order]


def _image_names(images: '_Table', file_names: List[str]) -> List[str]:
    """Ids that can name files: file names without their suffix."""
    for place, name in enumerate(file_names):
        if _PLAIN.fullmatch(name) is None:
            reason = why_unsafe(name)
            if reason:
                raise InputError(f'{images.where(place)}: file_name '
                                 f'{name[:80]!r} {reason}')
    names = [osp.splitext(name)[0] for name in file_names]
    if len(set(names)) < len(names):
        first: Dict[str, int] = {}
        for place, name in enumerate(names):
            if first.setdefault(name, place) != place:
                raise InputError(
                    f'{images.where(place)}: file_name '
                    f'{file_names[place][:80]!r} gives the same image id as '
                    f'images[{first[name]}]')
    return names


class _Table:
    """Columns of a list of objects; the first bad entry is named.

    A column is read in one go, and looked at entry by entry only after that
    has failed.
    """

    def __init__(self, path: str, key: str, entries: list) -> None:
        self.path, self.key, self.entries = path, key, entries

    def where(self, place: int) -> str:
        """File, position and, if it has one, the id of an entry."""
        entry = self.entries[place]
        number = entry.get('id') if isinstance(entry, dict) else None
        known = f' (id {number})' if type(number) is int else ''
        return f'{self.path}: {self.key}[{place}]{known}'

    def refuse(self, wrong: np.ndarray, what: str) -> None:
        """Raise InputError for the first entry that is wrong."""
        if wrong.any():
            raise InputError(f'{self.where(int(wrong.argmax()))}: {what}')

    def column(self, name: str, *default: Any) -> list:
        """Values of a key; it must be there unless a default is given."""
        try:
            if default:
                return [entry.get(name, *default) for entry in self.entries]
            return [entry[name] for entry in self.entries]
        except (KeyError, TypeError, AttributeError, IndexError):
            for place, entry in enumerate(self.entries):
                if not isinstance(entry, dict):
                    raise InputError(
                        f'{self.where(place)}: not an object') from None
                if not default and name not in entry:
                    raise InputError(
                        f'{self.where(place)}: no {name!r}') from None
            raise

    def strings(self, name: str) -> List[str]:
        """A column of texts that are not empty."""
        values = self.column(name)
        for place, value in enumerate(values):
            if not isinstance(value, str) or not value:
                raise InputError(f'{self.where(place)}: {name!r} is no text')
        return values

    def integers(self, name: str, *default: int) -> np.ndarray:
        """A column of integers, int64."""
        values = self.column(name, *default)
        try:
            array = np.array(values)
            if array.ndim == 1 and array.dtype.kind in 'ib' or not values:
                return array.astype(np.int64)
        except (ValueError, OverflowError):
            pass  # nested lists of several lengths
        for place, value in enumerate(values):
            if type(value) not in (int, bool) or abs(value) >> 63:
                raise InputError(f'{self.where(place)}: {name!r} is no '
                                 f'integer but {str(value)[:80]!r}')
        return np.array(values, np.int64)

    def unique_ids(self) -> np.ndarray:
        """The column 'id'."""
        ids = self.integers('id')
        order = np.argsort(ids, kind='stable')
        same = np.zeros(len(ids), bool)
        same[order[1:]] = ids[order[1:]] == ids[order[:-1]]
        self.refuse(same, 'another entry before it has the same id')
        return ids

    def positions(self, name: str, ids: np.ndarray, what: str) -> np.ndarray:
        """Where the ids of a column stand in ``ids``."""
        values = self.integers(name)
        order = np.argsort(ids, kind='stable')
        place = np.searchsorted(ids, values, sorter=order)
        found = order[np.minimum(place, len(ids) - 1)]
        wrong = ids[found] != values
        if wrong.any():
            value = values[int(wrong.argmax())]
            self.refuse(wrong, f'{name} {value} is not among the {what}')
        return found

    def areas(self) -> np.ndarray:
        """Areas, NaN where there is none."""
        values = self.column('area', None)
        try:
            array = np.array(values)
        except ValueError:  # nested lists of several lengths
            array = np.zeros((0, 0))
        if array.ndim != 1 or array.dtype.kind not in 'iuf':
            array = np.array([self._area(i) for i in range(len(values))])
        array = array.astype(np.float64)
        given = ~np.isnan(array)
        for place in np.flatnonzero(~given):
            if values[place] is not None:
                raise InputError(f"{self.where(place)}: 'area' is NaN")
        self.refuse(given & ~((array >= 0) & (array < np.inf)),
                    "'area' is negative or infinite")
        return array

    def _area(self, place: int) -> float:
        value = self.entries[place].get('area')
        if type(value) not in (int, float, type(None)):
            raise InputError(f"{self.where(place)}: 'area' is no number but "
                             f'{str(value)[:80]!r}')
        try:
            return np.nan if value is None else float(value)
        except OverflowError:
            return np.inf
