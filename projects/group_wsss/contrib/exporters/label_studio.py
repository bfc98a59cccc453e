# Copyright (c) group_wsss contributors. All rights reserved.
import json
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import quote

import numpy as np

from ...structures import IGNORE_INDEX, Dump
from ...structures.brush_rle import encode_brush
from ...utils.files import atomic_write
from ...utils.pool import Pool, no_progress
from .staging import staged

# of the labelling interface: <BrushLabels name="label" toName="image">
_FROM, _TO = 'label', 'image'


def export_label_studio(
        dump: Dump,
        out: str,
        prefix: str = '',
        image_dir: Optional[str] = None,
        suffix: Optional[str] = None,
        jobs: int = 1,
        progress: Callable[[int, int], None] = no_progress) -> Dict[str, Any]:
    """Write labels as predictions to correct in Label Studio.

    A list of tasks with ``data.image``, ``data.img_id`` and one prediction:
    a region of the brush for each class of the label. Unknown pixels are in
    none of them. The interface of the project needs ``<BrushLabels
    name="label" toName="image">`` with a label for each class.

    Args:
        dump (Dump): Label images.
        out (str): JSON file.
        prefix (str): What stands before the path of an image in its
            address, such as ``'/data/local-files/?d=photos/'``. Defaults to
            ''.
        image_dir (str, optional): Folder of the images: all must be there.
            Defaults to None.
        suffix (str, optional): Ending of the ids that have no path of their
            own. Defaults to None.
        jobs (int): Processes; they change no byte. Defaults to 1.
        progress (Callable): Told the images done and their number.

    Returns:
        dict: Counts ``images``, ``regions`` and ``unknown_pixels``.

    Raises:
        InputError: A damaged label image, an image whose file is not known,
            or a file that cannot be written.
    """
    paths = dump.image_paths(image_dir, suffix)
    tasks, regions, unknown = [], 0, 0
    with staged(out) as part, Pool(jobs) as pool:
        found = pool.map(partial(_results, dump=dump.bare), dump.ids, progress)
        for img_id, (results, pixels) in zip(dump.ids, found):
            unknown += pixels
            regions += len(results)
            tasks.append(
                dict(
                    data={
                        # local files: the path is part of a query
                        _TO: prefix + quote(paths[img_id]),
                        'img_id': img_id
                    },
                    predictions=[
                        dict(model_version='group_wsss', result=results)
                    ]))
        text = json.dumps(tasks, ensure_ascii=False) + '\n'
        atomic_write(part, text.encode())
    return dict(images=len(tasks), regions=regions, unknown_pixels=unknown)


def _results(img_id: str, dump: Dump) -> Tuple[List[dict], int]:
    """Regions of an image, and its unknown pixels."""
    label = dump.read_label(img_id)
    height, width = label.shape
    results = []
    for value in np.unique(label).tolist():
        if value in (0, IGNORE_INDEX):
            continue
        results.append(
            dict(
                id=f'class-{value}',
                type='brushlabels',
                from_name=_FROM,
                to_name=_TO,
                original_width=width,
                original_height=height,
                image_rotation=0,
                value=dict(
                    format='rle',
                    rle=encode_brush(label == value),
                    brushlabels=[dump.names[value]])))
    return results, int((label == IGNORE_INDEX).sum())
