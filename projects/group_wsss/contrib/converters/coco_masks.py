# Copyright (c) group_wsss contributors. All rights reserved.
"""Label images of COCO's instances, one at a time."""
import hashlib
import os.path as osp
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from ...structures.coco_json import CocoIndex
from ...structures.label_image import encode_index_png, read_index_png
from ...structures.segmentation import check_segmentation, decode_segmentation
from ...utils.errors import InputError
from ...utils.files import atomic_write, output_path
from .coco_render import paint_instances


class Rendering(NamedTuple):
    """One image to render.

    Args:
        json_path (str): For messages.
        img_id (str): Its id.
        target (str): PNG to write.
        image (str, optional): Its file, if it is there.
        shape (tuple[int, int]): Height and width by the JSON.
        ann_ids, labels, crowds (list): Of its annotations.
        segmentations (list): Of its annotations.
        overlap, crowd (str): Rules of ``paint_instances``.
    """
    json_path: str
    img_id: str
    target: str
    image: Optional[str]
    shape: Tuple[int, int]
    ann_ids: List[int]
    labels: List[int]
    crowds: List[bool]
    segmentations: List[Any]
    overlap: str
    crowd: str


class Rendered(NamedTuple):
    """Checksums and pixels of a finished label image."""
    img_id: str
    file_hash: str
    pixel_hash: str
    counts: np.ndarray
    kept: bool


def render_coco_mask(task: Rendering) -> Rendered:
    """Write the label image of an image, or read the one that is there.

    Args:
        task (Rendering): What to render.

    Returns:
        Rendered: Checksums and pixels of every value.

    Raises:
        InputError: A segmentation that cannot be decoded, an image of
            another size, an unwritable folder.
    """
    label = _finished(task)
    kept = label is not None
    if label is None:
        _check_size(task)
        covers = []
        for ann_id, segmentation in zip(task.ann_ids, task.segmentations):
            try:
                covers.append(decode_segmentation(segmentation, *task.shape))
            except InputError as error:
                raise InputError(f'{task.json_path}: annotation {ann_id} '
                                 f'{error}') from None
        label = paint_instances(task.shape, covers, task.labels, task.crowds,
                                task.overlap, task.crowd)
        atomic_write(task.target, encode_index_png(label))
    pixels = hashlib.sha256(f'{label.shape[0]} {label.shape[1]}\n'.encode())
    pixels.update(label.tobytes())
    return Rendered(task.img_id,
                    hashlib.sha256(Path(task.target).read_bytes()).hexdigest(),
                    pixels.hexdigest(),
                    np.bincount(label.reshape(-1), minlength=256), kept)


def _finished(task: Rendering) -> Optional[np.ndarray]:
    """The label image of an earlier run, if it is whole."""
    try:
        label = read_index_png(task.target)
    except InputError:
        return None
    return label if label.shape == tuple(task.shape) else None


def _check_size(task: Rendering) -> None:
    """See that the image is as large as the JSON says."""
    if task.image is None:
        return
    try:
        with Image.open(task.image) as image:
            width, height = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise InputError(f'{task.image}: cannot be read as an '
                         'image') from None
    if (height, width) != tuple(task.shape):
        raise InputError(
            f'{task.image}: is {width} x {height}, but {task.json_path} says '
            f'{task.shape[1]} x {task.shape[0]}')


def check_segmentations(index: CocoIndex) -> None:
    """Refuse what cannot be rendered before anything is written."""
    assert index.sizes is not None and index.segmentations is not None
    for place, owner in enumerate(index.owners.tolist()):
        try:
            check_segmentation(index.segmentations[place],
                               *index.sizes[owner].tolist())
        except InputError as error:
            raise InputError(f'{index.path}: annotation '
                             f'{index.ann_ids[place]} {error}') from None


def coco_renderings(index: CocoIndex, places: Sequence[int],
                    images: Optional[str], out: str, overlap: str,
                    crowd: str) -> Iterator[Rendering]:
    """Renderings of some of the images of a JSON.

    Args:
        index (CocoIndex): With sizes and segmentations.
        places (Sequence[int]): Positions of the images.
        images (str, optional): Folder of the images; None if they are not
            there.
        out (str): Folder of the label images.
        overlap (str): Rule of :func:`paint_instances`.
        crowd (str): Rule of :func:`paint_instances`.

    Yields:
        Rendering: One an image.
    """
    assert index.sizes is not None and index.segmentations is not None
    order = np.argsort(index.owners, kind='stable')
    ends = np.cumsum(np.bincount(index.owners, minlength=len(index.img_ids)))
    for place in places:
        start = ends[place - 1] if place else 0
        mine = order[start:ends[place]]
        img_id, name = index.img_ids[place], index.file_names[place]
        yield Rendering(index.path, img_id, output_path(out, img_id, '.png'),
                        images and osp.join(images, name),
                        tuple(index.sizes[place].tolist()),
                        index.ann_ids[mine].tolist(),
                        index.labels[mine].tolist(),
                        index.crowds[mine].tolist(),
                        [index.segmentations[i] for i in mine], overlap, crowd)
