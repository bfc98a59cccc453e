# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Dict, List, Optional, Tuple

import numpy as np

from ...structures.coco_json import index_instances, read_instances
from ...structures.segmentation import decode_segmentation
from ...utils.errors import InputError
from .source import ForeignImage, ForeignMask, check_score


class CocoSource:
    """An instances JSON of COCO, whose annotations may have a ``score``.

    An image is found by its file name without suffix. Annotations without
    ``score`` have 1; pixels of crowds are unknown.

    Args:
        path (str): The JSON.

    Raises:
        InputError: Missing, or no instances JSON; the entry is named.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        content = read_instances(path, masks=True)
        self.index = index_instances(content, path, masks=True)
        self.names: Optional[Tuple[str, ...]] = self.index.classes
        self.scores = [
            check_score(
                entry.get('score', 1.0), f'{path}: annotations[{place}]')
            for place, entry in enumerate(content['annotations'])
        ]
        self.places = {key: i for i, key in enumerate(self.index.img_ids)}
        self.rows: Dict[int, List[int]] = {}
        for row, owner in enumerate(self.index.owners.tolist()):
            self.rows.setdefault(owner, []).append(row)

    def read(self, img_id: str) -> ForeignImage:
        """The masks of an image; see ``Source.read``."""
        index = self.index
        if img_id not in self.places:
            raise InputError(f'{self.path}: has no image {img_id!r} (file '
                             'name without suffix)')
        assert index.sizes is not None and index.segmentations is not None
        place = self.places[img_id]
        height, width = index.sizes[place].tolist()
        masks = []
        unknown = np.zeros((height, width), dtype=bool)
        for row in self.rows.get(place, ()):
            try:
                mask = decode_segmentation(index.segmentations[row], height,
                                           width)
            except InputError as error:
                raise InputError(f'{self.path}: annotations[{row}] '
                                 f'{error}') from None
            if index.crowds[row]:
                unknown |= mask
            else:
                masks.append(
                    ForeignMask(index.classes[index.labels[row]],
                                self.scores[row], mask))
        return ForeignImage((height, width), masks, unknown)
