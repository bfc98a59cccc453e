# Copyright (c) group_wsss contributors. All rights reserved.
import math
from typing import List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor

from ...utils.errors import InputError

Inputs = Union[Tensor, Sequence[Tensor]]
Sizes = Optional[List[Tuple[int, int]]]


def group_size_of(data_samples: Optional[List[DataSample]]) -> int:
    """Group size of a test batch.

    Args:
        data_samples (list[DataSample], optional): Samples, ``group_slot`` of
            each is its place in its group.

    Returns:
        int: K; 1 if no sample has a ``group_slot``.

    Raises:
        InputError: If the slots are not whole groups of one size.
    """
    slots = [s.get('group_slot', None) for s in data_samples or []]
    if all(slot is None for slot in slots):
        return 1
    k = slots.index(0, 1) if 0 in slots[1:] else len(slots)
    if slots != list(range(k)) * (len(slots) // k):
        raise InputError(f'group_slot of a batch is {slots}, must be whole '
                         'groups of one size: 0, 1, ..., 0, 1, ...')
    return k


def valid_sizes(inputs: Inputs, feats: List[Tensor],
                data_samples: Optional[List[DataSample]]) -> Sizes:
    """Height and width of each map without the padding of its image.

    Args:
        inputs (Tensor | Sequence[Tensor]): ``(B, 3, H, W)``, or a sequence
            of ``(3, H_i, W_i)``.
        feats (list[Tensor]): One map ``(B, C, h, w)``, or one
            ``(1, C, h_i, w_i)`` for each image.
        data_samples (list[DataSample], optional): Those of padded images
            have a ``valid_shape``.

    Returns:
        list[tuple[int, int]] | None: None if there is no padding.
    """
    valid = [s.get('valid_shape', None) for s in data_samples or []]
    if isinstance(inputs, Tensor):
        if all(v is None for v in valid):
            return None
        feats = [feats[0]] * len(inputs)
    sizes = []
    for i, (image, feat) in enumerate(zip(inputs, feats)):
        size = feat.shape[-2:]
        if valid and valid[i] is not None:
            size = (math.ceil(v * n / full)
                    for v, n, full in zip(valid[i], size, image.shape[-2:]))
        sizes.append(tuple(size))
    return sizes


def join_maps(maps: List[Tensor],
              sizes: Sizes) -> Tuple[Tensor, Optional[Tensor]]:
    """Put the maps of all images into one tensor, padded with zeros.

    Args:
        maps (list[Tensor]): One ``(B, C, h, w)``, or one ``(1, C, h_i, w_i)``
            for each image.
        sizes (list[tuple[int, int]], optional): See ``valid_sizes``.

    Returns:
        tuple[Tensor, Tensor | None]: Maps ``(B, C, h, w)`` and ``(B, h, w)``,
        False on padding; None if there is none.
    """
    joined = maps[0]
    if len(maps) > 1:
        height = max(m.shape[-2] for m in maps)
        width = max(m.shape[-1] for m in maps)
        joined = torch.cat([
            F.pad(m, (0, width - m.shape[-1], 0, height - m.shape[-2]))
            for m in maps
        ])
    if sizes is None:
        return joined, None
    bound = torch.tensor(sizes, device=joined.device)
    rows = torch.arange(joined.shape[-2], device=joined.device)
    columns = torch.arange(joined.shape[-1], device=joined.device)
    return joined, ((rows < bound[:, :1])[:, :, None]
                    & (columns < bound[:, 1:])[:, None])
