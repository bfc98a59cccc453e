# Copyright (c) group_wsss contributors. All rights reserved.
import io
import os.path as osp
from functools import partial
from typing import Any, Callable, Dict

import numpy as np
from PIL import Image

from ...structures import IGNORE_INDEX, Dump
from ...structures.label_image import voc_palette
from ...utils.errors import InputError
from ...utils.files import atomic_write, output_path
from ...utils.pool import Pool, no_progress
from .staging import staged


def export_cvat_masks(
        dump: Dump,
        out: str,
        jobs: int = 1,
        progress: Callable[[int, int], None] = no_progress) -> Dict[str, Any]:
    """Write labels as CVAT's "Segmentation mask 1.1", to be corrected there.

    ``labelmap.txt``, ``ImageSets/Segmentation/default.txt``, and RGB images
    in ``SegmentationClass`` and ``SegmentationObject``, where each class is
    one object. Zip what is in the folder and upload it as annotations of a
    task that has the images and the class names. Unknown pixels become
    background: the format has no word for them.

    Args:
        dump (Dump): Label images.
        out (str): Folder; new or empty.
        jobs (int): Processes; they change no byte. Defaults to 1.
        progress (Callable): Told the images done and their number.

    Returns:
        dict: Counts ``images`` and ``unknown_pixels``.

    Raises:
        InputError: A damaged label image, a class name that the label map
            cannot hold, or a folder that cannot be written or is not empty.
    """
    for name in dump.names:
        if set(name) & set(':#\n\r'):
            raise InputError(f'class {name!r}: a name of labelmap.txt has no '
                             "':', no '#' and no end of line")
    colours = _colours(dump)
    lines = ['# label:color_rgb:parts:actions']
    lines += [
        f'{name}:{",".join(map(str, colours[i].tolist()))}::'
        for i, name in enumerate(dump.names)
    ]
    with staged(out) as part, Pool(jobs) as pool:
        work = partial(
            _write_image, dump=dump.bare, colours=colours, folder=part)
        unknown = sum(pool.map(work, dump.ids, progress))
        ids = ''.join(f'{img_id}\n' for img_id in dump.ids)
        atomic_write(
            osp.join(part, 'ImageSets', 'Segmentation', 'default.txt'),
            ids.encode())
        atomic_write(
            osp.join(part, 'labelmap.txt'), ('\n'.join(lines) + '\n').encode())
    return dict(images=len(dump.ids), unknown_pixels=unknown)


def _colours(dump: Dump) -> np.ndarray:
    """One for each label: CVAT tells classes apart by nothing else."""
    colours = dump.palette
    used = colours[:len(dump.names)]
    if len(np.unique(used, axis=0)) < len(used):
        return voc_palette()
    return colours


def _write_image(img_id: str, dump: Dump, colours: np.ndarray,
                 folder: str) -> int:
    """Write both images; give the unknown pixels."""
    label = dump.read_label(img_id)
    unknown = label == IGNORE_INDEX
    buffer = io.BytesIO()
    Image.fromarray(colours[np.where(unknown, 0, label)]).save(buffer, 'PNG')
    for kind in ('SegmentationClass', 'SegmentationObject'):
        atomic_write(
            output_path(osp.join(folder, kind), img_id, '.png'),
            buffer.getvalue())
    return int(unknown.sum())
