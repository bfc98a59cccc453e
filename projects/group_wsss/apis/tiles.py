# Copyright (c) group_wsss contributors. All rights reserved.
"""Class maps of large images, tile by tile."""
from typing import Any, Callable, List, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor

from ..datasets import group_collate
from ..utils.errors import InputError

Box = Tuple[int, int, int, int]
# of a tile that the next one shows too, at least
OVERLAP = 0.25
# cells of the merged maps for a cell of a tile's: where a tile begins is
# rounded to them
FINE = 4


def tile_boxes(shape: Sequence[int], tile: int) -> List[Box]:
    """Cut an image into overlapping squares, evenly spread.

    Args:
        shape (Sequence[int]): Height and width.
        tile (int): Side of a square in pixels; a side of the image that is
            shorter is not cut.

    Returns:
        list[Box]: Top, left, bottom and right of each, row by row; one box
        if the image is no larger than a tile.

    Raises:
        InputError: ``tile`` is not positive.
    """
    if tile < 1:
        raise InputError(f'tile is {tile}, must be >= 1')
    starts = []
    for side in shape:
        rest = max(side - tile, 0)
        count = -(-rest // max(1, int(tile * (1 - OVERLAP)))) + 1
        starts.append([rest * i // max(1, count - 1) for i in range(count)])
    height, width = (min(side, tile) for side in shape)
    return [(top, left, top + height, left + width) for top in starts[0]
            for left in starts[1]]


def merge_tiles(maps: Sequence[Tensor], boxes: Sequence[Box],
                shape: Sequence[int]) -> Tensor:
    """Put maps of tiles together; where tiles overlap, their mean.

    Args:
        maps (Sequence[Tensor]): ``(n, h, w)`` of each tile.
        boxes (Sequence[Box]): See :func:`tile_boxes`.
        shape (Sequence[int]): Height and width of the image.

    Returns:
        Tensor: ``(n, H', W')``, ``FINE`` cells for a cell of a tile.
    """
    top, left, bottom, right = boxes[0]
    height = round(FINE * maps[0].shape[1] * shape[0] / (bottom - top))
    width = round(FINE * maps[0].shape[2] * shape[1] / (right - left))
    total = maps[0].new_zeros(len(maps[0]), height, width)
    count = maps[0].new_zeros(height, width)
    for part, (top, left, bottom, right) in zip(maps, boxes):
        rows = slice(*(round(y * height / shape[0]) for y in (top, bottom)))
        columns = slice(*(round(x * width / shape[1]) for x in (left, right)))
        size = total[0, rows, columns].shape
        total[:, rows, columns] += F.interpolate(
            part[None], size, mode='bilinear', align_corners=False)[0]
        count[rows, columns] += 1
    return total / count


def predict_tiles(model: Any, group: List[dict], tile: int,
                  load: Callable[[], np.ndarray],
                  pack: Callable[[np.ndarray], dict]) -> DataSample:
    """Predict an image tile by tile, each with the image's tags and partners.

    The network needs the memory of one tile and its partners.

    Args:
        model (Any): A ``GroupCAM``, or what augments it.
        group (list[dict]): Packed items of ``GroupedDataset``: the image,
            with tags, and its partners.
        tile (int): See :func:`tile_boxes`.
        load (Callable): Gives the pixels of the image, uint8 ``(H, W, 3)``.
        pack (Callable): Packs the pixels of a tile.

    Returns:
        DataSample: As of the whole image, which is predicted as it is if it
        fits into a tile; else with merged ``class_maps``, and the highest
        ``pred_score`` of all tiles.
    """
    shape = _samples(group[0])[0].ori_shape
    boxes = tile_boxes(shape[:2], tile)
    if len(boxes) == 1:
        return model.test_step(group_collate([group]))[0]
    image, found = load(), []
    for top, left, bottom, right in boxes:
        item = pack(image[top:bottom, left:right])
        for sample in _samples(item):
            sample.set_metainfo(dict(group_slot=0))
        found += model.test_step(group_collate([[item, *group[1:]]]))
    merged = found[0]
    merged.set_metainfo(dict(ori_shape=shape))
    merged.class_maps = merge_tiles([one.class_maps for one in found], boxes,
                                    shape)
    merged.set_pred_score(
        torch.stack([one.pred_score for one in found]).amax(0))
    return merged


def _samples(item: dict) -> List[DataSample]:
    """Data samples of a packed item, one for each augmentation."""
    samples = item['data_samples']
    return samples if isinstance(samples, list) else [samples]
