# Copyright (c) group_wsss contributors. All rights reserved.
from functools import partial
from typing import Any, Dict

import numpy as np

from ...structures import IGNORE_INDEX, Dump
from .coco_json import ImageParts, image_parts, write_coco


def export_coco_semantic(dump: Dump, out: str,
                         **options: Any) -> Dict[str, Any]:
    """COCO JSON with one RLE for each class of an image.

    Painted in any order the annotations give the label image back; what
    none covers is background. With ``unknown='ignore'`` the annotations
    with ``iscrowd`` 1 are the pixels of value 255.

    Args:
        dump (Dump): Label images.
        out (str): Target JSON file.
        **options: Of :func:`write_coco`.

    Returns:
        dict: Counts of :func:`write_coco`.

    Raises:
        InputError: As :func:`write_coco`.
    """
    work = partial(_classes, dump=dump.bare)
    return write_coco(dump, out, work, dict(format='coco-semantic'), **options)


def _classes(img_id: str, dump: Dump) -> ImageParts:
    """Classes of a label image."""
    label = dump.read_label(img_id)
    index = np.where(label == IGNORE_INDEX, 0, label)
    return image_parts(img_id, label, index, range(1, len(dump.names)))
