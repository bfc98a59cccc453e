# Copyright (c) group_wsss contributors. All rights reserved.
"""COCO instances JSON as arrays: what is annotated on which image."""
import os.path as osp
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..utils.errors import InputError
from ..utils.files import why_unsafe
from .folders import missing_files
from .json_table import JsonTable
from .text_files import parse_json, read_text

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
            crowd (str): 'keep' counts annotations of crowds, 'ignore'
                does not. Defaults to 'keep'.
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

    text = read_text(path, 'annotation file')
    return parse_json(text, path, None if masks else drop)


def instance_tables(content: Any, path: str) -> List[JsonTable]:
    """Categories, images and annotations; their entries are not checked."""
    if not isinstance(content, dict):
        raise InputError(f'{path}: expected an object with images, '
                         'annotations and categories')
    tables = []
    for key in ('categories', 'images', 'annotations'):
        if not isinstance(content.get(key), list):
            raise InputError(f'{path}: no list {key!r}: not an instances JSON')
        tables.append(JsonTable(path, key, content[key]))
    return tables


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
    categories, images, table = instance_tables(content, path)
    for needed in (categories, images):
        if not needed.entries:
            raise InputError(f'{path}: {needed.key!r} is empty')
    classes, category_places = _categories(categories)
    image_places = images.unique(images.integers('id').tolist())
    file_names = images.strings('file_name')
    sizes = None
    if masks:
        sizes = np.stack([images.integers(k) for k in ('height', 'width')], 1)
        wrong = (sizes < 1) | (sizes > _MAX_SIDE)
        images.refuse(wrong[:, 0] | wrong[:, 1],
                      f'height and width must be 1 to {_MAX_SIDE}')
    ann_ids = table.integers('id')
    table.unique(ann_ids.tolist())
    owners = table.positions('image_id',
                             table.integers('image_id').tolist(), image_places,
                             'images')
    labels = table.positions('category_id',
                             table.integers('category_id').tolist(),
                             category_places, 'categories')
    crowds = table.integers('iscrowd', 0)
    table.refuse((crowds != 0) & (crowds != 1), "'iscrowd' is not 0 or 1")
    return CocoIndex(
        path, classes, _image_names(images, file_names), file_names, ann_ids,
        owners, labels, crowds == 1, table.areas(), sizes,
        table.column('segmentation', (), '', None) if masks else None)


def find_images(index: CocoIndex,
                folder: str,
                strict: bool = False) -> Tuple[List[int], str]:
    """Find the images of an index, by one listing per folder.

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
    total = len(index.file_names)
    missing = missing_files(
        osp.join(folder, name) for name in index.file_names)
    if not missing:
        return list(range(total)), ''
    first, count = index.file_names[missing[0]], len(missing)
    if strict or count == total:
        raise InputError(f'{osp.join(folder, first)}: no such image '
                         f'({count} of {total} in {index.path} are missing)')
    return np.delete(np.arange(total), missing).tolist(), (
        f'{index.path}: {count} of {total} images are not in {folder}, first '
        f'{first}, and are left out')


def _categories(table: JsonTable) -> Tuple[Tuple[str, ...], Dict[int, int]]:
    """Names by ascending id, and the place of each id."""
    ids = table.integers('id').tolist()
    table.unique(ids)
    names = table.strings('name')
    table.unique(names, 'name')
    known = dict(sorted(zip(ids, names)))
    return tuple(known.values()), {key: i for i, key in enumerate(known)}


def _image_names(images: JsonTable, file_names: List[str]) -> List[str]:
    """Ids that can name files: file names without their suffix."""
    for place, name in enumerate(file_names):
        if _PLAIN.fullmatch(name) is None:
            reason = why_unsafe(name)
            if reason:
                raise InputError(f'{images.where(place)}: file_name '
                                 f'{name[:80]!r} {reason}')
    names = [osp.splitext(name)[0] for name in file_names]
    images.unique(names, 'image id')
    return names
