# Copyright (c) group_wsss contributors. All rights reserved.
"""Parts of both COCO exports: the file, ids, unknown pixels."""
import json
import os.path as osp
import re
import shutil
import tempfile
from typing import (Any, Callable, Dict, List, NamedTuple, Optional, Sequence,
                    TextIO, Tuple)

import numpy as np

from ...structures import IGNORE_INDEX, Dump
from ...utils.errors import InputError
from ...utils.pool import Pool, no_progress
from .staging import staged

# what happens to unknown pixels
UNKNOWN_RULES = ('exclude', 'ignore')


class ImageParts(NamedTuple):
    """Regions of one label image."""
    img_id: str
    size: Tuple[int, int]  # height, width
    # label and the fields of its annotation that no other image decides
    parts: List[Tuple[int, str]]
    unknown: Optional[str]  # the same of the unknown pixels
    unknown_pixels: int
    dropped: int = 0  # regions below the smallest area


def _encode_region(pixels: np.ndarray, crowd: bool) -> str:
    """RLE, area, box and crowd flag of a region as JSON, without braces."""
    try:
        from pycocotools import mask
    except ImportError:
        raise InputError('COCO files need pycocotools: pip install -r '
                         'requirements/optional.txt') from None
    runs = mask.encode(np.asfortranarray(pixels, dtype=np.uint8))
    text = json.dumps(
        dict(
            segmentation=dict(
                size=list(pixels.shape), counts=runs['counts'].decode()),
            area=int(mask.area(runs)),
            bbox=[int(side) for side in mask.toBbox(runs)],
            iscrowd=int(crowd)))
    return text[1:-1]


def image_parts(img_id: str,
                label: np.ndarray,
                index: np.ndarray,
                labels: Sequence[int],
                min_area: int = 1) -> ImageParts:
    """Encode the regions of a label image.

    Args:
        img_id (str): Image id.
        label (np.ndarray): uint8 ``(H, W)``.
        index (np.ndarray): Number of the region of each pixel, 0 for none.
        labels (Sequence[int]): Label of regions 1, 2, ...
        min_area (int): Regions of fewer pixels are left out. Defaults to 1.

    Returns:
        ImageParts: In the order of the regions.
    """
    parts, dropped = [], 0
    areas = np.bincount(index.ravel())
    for number in np.flatnonzero(areas[1:]) + 1:
        if areas[number] < min_area:
            dropped += 1
            continue
        parts.append(
            (labels[number - 1], _encode_region(index == number, False)))
    unknown, pixels = None, label == IGNORE_INDEX
    count = int(pixels.sum())
    if count:
        unknown = _encode_region(pixels, True)
    return ImageParts(img_id, label.shape, parts, unknown, count, dropped)


def write_coco(
        dump: Dump,
        out: str,
        work: Callable[[str], ImageParts],
        info: Dict[str, Any],
        unknown: str = 'exclude',
        image_dir: Optional[str] = None,
        suffix: Optional[str] = None,
        numeric_ids: bool = False,
        jobs: int = 1,
        progress: Callable[[int, int], None] = no_progress) -> Dict[str, Any]:
    """Write a COCO JSON file, image by image.

    Annotations go to the file as they come; memory holds some images at a
    time and the ids.

    Args:
        dump (Dump): Label images.
        out (str): Target file, replaced when all is written.
        work (Callable): Image id to what is in its label image.
        info (dict): Put into the file's ``info``.
        unknown (str): ``'exclude'``: unknown pixels are in no annotation, as
            background. ``'ignore'``: they are one more annotation with
            ``iscrowd`` 1 for each class that may be there: the tags if the
            dump has them, else the classes of the label image, else all.
            Defaults to ``'exclude'``.
        image_dir (str, optional): Folder of the images, which must all be
            there. Defaults to None: nobody looks.
        suffix (str, optional): Ending of the ids that have no path of their
            own. Defaults to None.
        numeric_ids (bool): ``image_id`` is the number at the end of the
            image's name, as in COCO's own files, in place of 1, 2, ...
            Defaults to False.
        jobs (int): Processes; they change no byte. Defaults to 1.
        progress (Callable): Told the images done and their number.

    Returns:
        dict: Counts ``images``, ``annotations``, ``ignore_regions``,
        ``dropped`` (regions that are too small) and ``unknown_pixels``.

    Raises:
        InputError: A damaged label image, an image whose file is not known
            or not there, or without a number of its own, or a place that
            cannot be written.
    """
    assert unknown in UNKNOWN_RULES, f'unknown is one of {UNKNOWN_RULES}'
    paths = dump.image_paths(image_dir, suffix)
    numbers: Sequence[int] = range(1, len(dump.ids) + 1)
    if numeric_ids:
        numbers = _numbers_of(dump.ids)
    done = dict(
        images=0, annotations=0, ignore_regions=0, dropped=0, unknown_pixels=0)
    head = dict(
        info=dict(
            description='label images of group_wsss', **info, unknown=unknown),
        licenses=[],
        categories=[
            dict(id=label, name=name, supercategory='none')
            for label, name in enumerate(dump.names) if label
        ])
    with staged(out) as part, open(
            part, 'w', encoding='utf-8') as file, tempfile.TemporaryFile(
                'w+', encoding='utf-8',
                dir=osp.dirname(part)) as images, Pool(jobs) as pool:
        file.write(json.dumps(head)[:-1] + ',\n"annotations": [')
        for item in pool.map(work, dump.ids, progress):
            number = numbers[done['images']]
            row = dict(
                id=number,
                file_name=paths[item.img_id],
                height=item.size[0],
                width=item.size[1])
            images.write((',' if done['images'] else '') + '\n' +
                         json.dumps(row))
            done['images'] += 1
            done['dropped'] += item.dropped
            done['unknown_pixels'] += item.unknown_pixels
            _write_parts(file, item.parts, number, done)
            if unknown == 'ignore' and item.unknown is not None:
                parts = [(label, item.unknown)
                         for label in _possible(dump, item)]
                done['ignore_regions'] += len(parts)
                _write_parts(file, parts, number, done)
        file.write('],\n"images": [')
        images.seek(0)
        shutil.copyfileobj(images, file)
        file.write(']}\n')
    return done


def _write_parts(file: TextIO, parts: Sequence[Tuple[int, str]], number: int,
                 done: Dict[str, int]) -> None:
    """One line for each annotation."""
    for label, text in parts:
        file.write(',\n' if done['annotations'] else '\n')
        # from 1 on: the COCO evaluation takes id 0 for "no match"
        done['annotations'] += 1
        file.write(f'{{"id": {done["annotations"]}, "image_id": {number}, '
                   f'"category_id": {label}, {text}}}')


def _possible(dump: Dump, item: ImageParts) -> List[int]:
    """Labels that unknown pixels of an image may have."""
    if dump.tags is not None:
        return sorted(dump.tags[item.img_id])
    found = sorted({label for label, _ in item.parts})
    return found or list(range(1, len(dump.names)))


def _numbers_of(ids: Sequence[str]) -> List[int]:
    """Numbers at the end of the ids, each once."""
    found: Dict[int, str] = {}
    for img_id in ids:
        match = re.search('[0-9]{1,15}$', img_id)
        if match is None:
            raise InputError(f'image id {img_id!r}: does not end in a number '
                             'that could be its image_id')
        other = found.setdefault(int(match.group()), img_id)
        if other != img_id:
            raise InputError(f'image ids {other!r} and {img_id!r} end in the '
                             f'same number {int(match.group())}')
    return list(found)
