# Copyright (c) group_wsss contributors. All rights reserved.
import json
import os
import os.path as osp
from functools import partial
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np
from scipy import ndimage

from ...structures import IGNORE_INDEX, Dump
from ...utils.errors import InputError
from ...utils.files import atomic_write, output_path, why_unsafe
from ...utils.pool import Pool, no_progress
from .polygons import region_polygon
from .regions import CONNECTIVITIES, connected_regions
from .staging import staged


def export_yolo_seg(
        dump: Dump,
        out: str,
        connectivity: int = 8,
        min_area: int = 1,
        image_dir: Optional[str] = None,
        suffix: Optional[str] = None,
        jobs: int = 1,
        progress: Callable[[int, int], None] = no_progress) -> Dict[str, Any]:
    """A folder that YOLO segmentation trains on.

    ``labels/<path of the image without suffix>.txt``, where YOLO looks for
    it, has a row ``class x1 y1 x2 y2 ...`` for each connected component;
    classes count from 0, without background. A vertex
    is the centre of a border pixel, ``(column + 0.5) / width``: multiplied
    by the size and rounded down, ``cv2.fillPoly`` gives the component with
    its holes, see :func:`region_polygon`. An image without a class has an
    empty file. Unknown pixels are in no polygon: the format has no word for
    them, so they count as background.

    ``images.txt`` lists ``./images/<path>``; ``data.yaml`` names it and the
    classes.

    Args:
        dump (Dump): Label images.
        out (str): Folder; new or empty.
        connectivity (int): 4 or 8 neighbours. Defaults to 8.
        min_area (int): Components of fewer pixels are left out. Defaults to
            1, all are kept.
        image_dir (str, optional): Folder of the images; ``images``
            becomes a link to it. Defaults to None, no link.
        suffix (str, optional): Ending of the ids that have no path of their
            own. Defaults to None.
        jobs (int): Processes; they change no byte. Defaults to 1.
        progress (Callable): Told the images done and their number.

    Returns:
        dict: Counts ``images``, ``polygons``, ``dropped`` and
        ``unknown_pixels``.

    Raises:
        InputError: A damaged label image, an image whose file is not known,
            not there or misleads YOLO, or a folder that cannot be written or
            is not empty.
    """
    assert connectivity in CONNECTIVITIES and min_area >= 1
    paths = dump.image_paths(image_dir, suffix)
    stems = _label_stems(paths)
    total = np.zeros(3, dtype=np.int64)
    with staged(out) as part, Pool(jobs) as pool:
        work = partial(
            _write_rows,
            dump=dump.bare,
            folder=osp.join(part, 'labels'),
            connectivity=connectivity,
            min_area=min_area)
        for counts in pool.map(work, list(stems.items()), progress):
            total += counts
        lines = ''.join(f'./images/{paths[i]}\n' for i in dump.ids)
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


def _label_stems(paths: Mapping[str, str]) -> Dict[str, str]:
    """Path of each label file without suffix, as YOLO derives it."""
    stems: Dict[str, str] = {}
    for img_id, path in paths.items():
        if why_unsafe(path):
            raise InputError(f'image id {img_id!r}: its file {path!r} lies in '
                             'no folder of images')
        if 'images' in path.split('/')[:-1]:
            raise InputError(f"image id {img_id!r}: a folder 'images' in "
                             f'{path!r} misleads YOLO, which looks for labels '
                             'by replacing the last one')
        other = stems.setdefault(osp.splitext(path)[0], img_id)
        if other != img_id:
            raise InputError(f'image ids {other!r} and {img_id!r}: YOLO looks '
                             f'for both labels at {osp.splitext(path)[0]}.txt')
    return {img_id: stem for stem, img_id in stems.items()}


def _data_yaml(names: Sequence[str]) -> bytes:
    """Without ``path``: the folder of the file is the root."""
    # a JSON string is a YAML string
    rows = ''.join(f'  {i}: {json.dumps(name)}\n'
                   for i, name in enumerate(names[1:]))
    return ('# val is the training list: put a list of your own there\n'
            f'train: images.txt\nval: images.txt\nnames:\n{rows}').encode()


def _write_rows(item: Tuple[str, str], dump: Dump, folder: str,
                connectivity: int, min_area: int) -> Tuple[int, int, int]:
    """Write the rows of an image, given by its id and path of its label.

    Returns:
        tuple[int, int, int]: Rows, regions that are too small, and unknown
        pixels.
    """
    img_id, stem = item
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
    atomic_write(output_path(folder, stem, '.txt'), ''.join(rows).encode())
    return (len(rows), len(labels) - len(rows),
            int((label == IGNORE_INDEX).sum()))
