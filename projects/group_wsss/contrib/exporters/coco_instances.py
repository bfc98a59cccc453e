# Copyright (c) group_wsss contributors. All rights reserved.
from functools import partial
from typing import Any, Dict

from ...structures import Dump
from .coco_json import ImageParts, image_parts, write_coco
from .regions import CONNECTIVITIES, connected_regions


def export_coco_instances(dump: Dump,
                          out: str,
                          connectivity: int = 8,
                          min_area: int = 1,
                          **options: Any) -> Dict[str, Any]:
    """COCO instances: connected components of every class, as RLE.

    Touching objects of one class are one instance: a label image does not
    part them. ``iscrowd`` is 0 although the masks are RLE, which
    pycocotools and mmdet's ``LoadAnnotations`` (``poly2mask=True``, its
    default) take; 1 would make detectors ignore them.

    Args:
        dump (Dump): Label images.
        out (str): Target JSON file.
        connectivity (int): 4 or 8 neighbours. Defaults to 8.
        min_area (int): Components of fewer pixels are left out. Defaults to
            1, all are kept.
        **options: Of :func:`write_coco`.

    Returns:
        dict: Counts of :func:`write_coco`.

    Raises:
        InputError: As :func:`write_coco`.
    """
    assert connectivity in CONNECTIVITIES and min_area >= 1
    work = partial(
        _instances,
        dump=dump.bare,
        connectivity=connectivity,
        min_area=min_area)
    info = dict(
        format='coco-instances', connectivity=connectivity, min_area=min_area)
    return write_coco(dump, out, work, info, **options)


def _instances(img_id: str, dump: Dump, connectivity: int,
               min_area: int) -> ImageParts:
    """Components of a label image."""
    label = dump.read_label(img_id)
    index, labels = connected_regions(label, connectivity)
    return image_parts(img_id, label, index, labels, min_area)
