# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp
from typing import Optional, Tuple

from ...structures.segmentation import decode_segmentation
from ...structures.text_files import parse_json, read_text
from ...utils.errors import InputError
from ...utils.files import output_path
from .source import ForeignImage, ForeignMask, check_score


class ResultsSource:
    """A folder of ``<img_id>.json``: what a network answered to words.

    One object a file, such as Segment Anything 3 gives for the names of the
    tags: ``{"size": [H, W], "masks": [{"name": "dog", "score": 0.91,
    "segmentation": RLE}]}`` with the run length (or polygons) of COCO.

    Args:
        path (str): The folder.

    Raises:
        InputError: No such folder.
    """

    def __init__(self, path: str) -> None:
        if not osp.isdir(path):
            raise InputError(f'{path}: no such folder')
        self.path = path
        self.names: Optional[Tuple[str, ...]] = None

    def read(self, img_id: str) -> ForeignImage:
        """The masks of an image; see ``Source.read``."""
        path = output_path(self.path, img_id, '.json')
        content = parse_json(read_text(path), path)
        content = content if isinstance(content, dict) else {}
        size, entries = content.get('size'), content.get('masks')
        if not (isinstance(size, list) and len(size) == 2
                and all(type(side) is int and side > 0
                        for side in size) and isinstance(entries, list)):
            raise InputError(f"{path}: wants 'size', [height, width], and a "
                             "list 'masks'")
        masks = []
        for place, entry in enumerate(entries):
            where = f'{path}: masks[{place}]'
            if not isinstance(entry, dict) or not isinstance(
                    entry.get('name'), str):
                raise InputError(f"{where}: no object with a 'name'")
            score = check_score(entry.get('score'), where)
            try:
                mask = decode_segmentation(entry.get('segmentation'), *size)
            except InputError as error:
                raise InputError(f'{where} {error}') from None
            masks.append(ForeignMask(entry['name'], score, mask))
        return ForeignImage((size[0], size[1]), masks)
