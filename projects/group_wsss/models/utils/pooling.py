# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional

import torch
from torch import Tensor


def pool_maps(maps: Tensor,
              valid: Optional[Tensor] = None,
              mode: str = 'avg',
              ratio: float = 0.2) -> Tensor:
    """One number for each map.

    Args:
        maps (Tensor): ``(B, C, H, W)``.
        valid (Tensor, optional): ``(B, H, W)``, False on padding. Defaults
            to None.
        mode (str): ``'avg'``, ``'max'``, or ``'topk'`` for the mean of the
            highest ``ratio`` of the positions. Defaults to ``'avg'``.
        ratio (float): In (0, 1]. Defaults to 0.2.

    Returns:
        Tensor: ``(B, C)``.
    """
    flat = maps.flatten(2)
    if valid is None and mode == 'avg':
        return flat.mean(2)
    if valid is None:
        valid = maps.new_ones(maps.shape[0], *maps.shape[2:])
    valid = valid.flatten(1).bool().unsqueeze(1)  # (B, 1, H * W)
    count = valid.sum(2)
    if mode == 'avg':
        return flat.masked_fill(~valid, 0).sum(2) / count
    flat = flat.masked_fill(~valid, -torch.inf)
    if mode == 'max':
        return flat.amax(2)
    highest = flat.sort(2, descending=True).values
    count = (count * ratio).ceil()
    rank = torch.arange(flat.shape[2], device=flat.device)
    keep = rank < count.unsqueeze(2)
    return highest.masked_fill(~keep, 0).sum(2) / count
