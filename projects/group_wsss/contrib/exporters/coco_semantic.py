# Copyright (c) group_wsss contributors. All rights reserved.
from functools import partial
from typing import Any, Dict

import numpy as np

from ...structures.label_image import IGNORE_INDEX
from .coco_json import ImageParts, image_parts, write_coco
from .source import LabelSource


def export_coco_semantic(source: LabelSource, out: str,
                         **options: Any) -> Dict[str, Any]:
    """COCO JSON with one RLE for each class of an image.

    Painted in any order the annotations give the label image back; what
    none covers is background. With ``unknown='ignore'`` the annotations
    with ``iscrowd`` 1 are the pixels of value 255.

    Args:
        source (LabelSource): Label images.
        out (str): Target JSON file.
        **options: Of :func:`write_coco`.

    Returns:
        dict: Counts of :func:`write_coco`.

    Raises:
        InputError: As :func:`write_coco`.
    """
    work = partial(_classes, source=source.bare)
    info = dict(
        format='coco-semantic', unknown=options.get('unknown', 'exclude'))
    return write_coco(source, out, work, info, **options)


def _classes(img_id: str, source: LabelSource) -> ImageParts:
    """Classes of a label image."""
    label = source.read(img_id)
    index = np.where(label == IGNORE_INDEX, 0, label)
    return image_parts(img_id, label, index, range(1, len(source.names)))
