# Copyright (c) group_wsss contributors. All rights reserved.
import json
import os
import os.path as osp
from functools import partial
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np
from scipy import ndimage

from ...structures import IGNORE_INDEX, Dump
from ...utils.errors import InputError
from ...utils.files import atomic_write, output_path
from ...utils.pool import Pool, no_progress
from .polygons import region_polygon
from .regions import CONNECTIVITIES, connected_regions
from .staging import staged
from .suffix import check_suffix


def export_yolo_seg(
        dump: Dump,
        out: str,
        connectivity: int = 8,
        min_area: int = 1,
        image_dir: Optional[str] = None,
        suffix: str = '.jpg',
        jobs: int = 1,
        progress: Callable[[int, int], None] = no_progress) -> Dict[str, Any]:
    """A folder that YOLO segmentation trains on.

    ``labels/<img_id>.txt`` has a row ``class x1 y1 x2 y2 ...`` for each
    connected component; classes count from 0, without background. A vertex
    is the centre of a border pixel, ``(column + 0.5) / width``: multiplied
    by the size and rounded down, ``cv2.fillPoly`` gives the component with
    its holes, see :func:`region_polygon`. An image without a class has an
    empty file. Unknown pixels are in no polygon: the format has no word for
    them, so they count as background.

    ``images.txt`` lists ``./images/<img_id><suffix>``; ``data.yaml`` names
    it and the classes.

    Args:
        dump (Dump): Label images.
        out (str): Folder; new or empty.
        connectivity (int): 4 or 8 neighbours. Defaults to 8.
        min_area (int): Components of fewer pixels are left out. Defaults to
            1, all are kept.
        image_dir (str, optional): Folder of the images; ``images``
            becomes a link to it. Defaults to None, no link.
        suffix (str): Ending of the images. Defaults to ``'.jpg'``.
        jobs (int): Processes; they change no byte. Defaults to 1.
        progress (Callable): Told the images done and their number.

    Returns:
        dict: Counts ``images``, ``polygons``, ``dropped`` and
        ``unknown_pixels``.

    Raises:
        InputError: A damaged label image, a missing image, or a folder
            that cannot be written or is not empty.
    """
    assert connectivity in CONNECTIVITIES and min_area >= 1
    _check_images(dump.ids, image_dir, check_suffix(suffix))
    total = np.zeros(3, dtype=np.int64)
    with staged(out) as part, Pool(jobs) as pool:
        os.mkdir(part)
        work = partial(
            _write_rows,
            dump=dump.bare,
            folder=osp.join(part, 'labels'),
            connectivity=connectivity,
            min_area=min_area)
        for counts in pool.map(work, dump.ids, progress):
            total += counts
        lines = ''.join(f'./images/{img_id}{suffix}\n' for img_id in dump.ids)
        atomic_write(osp.join(part, 'images.txt'), lines.encode())
        if image_dir is not None:
            os.symlink(osp.abspath(image_dir), osp.join(part, 'images'))
        atomic_write(osp.join(part, 'data.yaml'), _data_yaml(dump.names))
    rows, dropped, unknown = total.tolist()
    return dict(
        images=len(dump.ids),
        polygons=rows,
        dropped=dropped,
        unknown_pixels=unknown)


def _check_images(ids: Sequence[str], image_dir: Optional[str],
                  suffix: str) -> None:
    """Every image can be found by what YOLO makes of its path."""
    missing = []
    for img_id in ids:
        if 'images' in img_id.split('/')[:-1]:
            raise InputError(f"image id {img_id!r}: a folder 'images' in it "
                             'misleads YOLO, which looks for labels by '
                             'replacing the last one')
        if image_dir is not None and not osp.isfile(
                output_path(image_dir, img_id, suffix)):
            missing.append(img_id)
    if missing:
        names = ', '.join(missing[:3]) + (', ...' if len(missing) > 3 else '')
        raise InputError(f'{image_dir}: {len(missing)} of {len(ids)} images '
                         f'have no image ({suffix}): {names}')


def _data_yaml(names: Sequence[str]) -> bytes:
    """Without ``path``: the folder of the file is the root."""
    # a JSON string is a YAML string
    rows = ''.join(f'  {i}: {json.dumps(name)}\n'
                   for i, name in enumerate(names[1:]))
    return ('# val is the training list: put a list of your own there\n'
            f'train: images.txt\nval: images.txt\nnames:\n{rows}').encode()


def _write_rows(img_id: str, dump: Dump, folder: str, connectivity: int,
                min_area: int) -> Tuple[int, int, int]:
    """Write the rows of an image.

    Returns:
        tuple[int, int, int]: Rows, regions that are too small, and unknown
        pixels.
    """
    label = dump.read_label(img_id)
    index, labels = connected_regions(label, connectivity)
    sizes = np.bincount(index.reshape(-1))[1:]
    height, width = label.shape
    rows = []
    for number, box in enumerate(ndimage.find_objects(index), 1):
        if sizes[number - 1] < min_area:
            continue
        line = region_polygon(index[box] == number)
        line = line + (box[1].start + .5, box[0].start + .5)
        values = (line / (width, height)).reshape(-1).tolist()
        rows.append(' '.join([str(labels[number - 1] - 1)] +
                             [f'{value:.6f}' for value in values]) + '\n')
    atomic_write(output_path(folder, img_id, '.txt'), ''.join(rows).encode())
    return (len(rows), len(labels) - len(rows),
            int((label == IGNORE_INDEX).sum()))
