# Copyright (c) group_wsss contributors. All rights reserved.
import math

import torch
import torch.nn.functional as F
from torch import Tensor

# standard deviations after which a weight (below 4e-4) counts as 0
_REACH = 4


def gaussian_filter(maps: Tensor, sxy: float) -> Tensor:
    """``sum_j exp(-|p_i - p_j|^2 / (2 sxy^2)) v_j`` over a grid of pixels.

    Exact up to a cut after 4 standard deviations in either direction; zeros
    beyond the border. Two passes of shifted sums: as fast as the best
    convolution here and the same bytes with any number of threads.

    Args:
        maps (Tensor): ``(C, H, W)``.
        sxy (float): Standard deviation in pixels.

    Returns:
        Tensor: ``(C, H, W)``.
    """
    # one by one: a map and its sums stay in the cache
    return torch.stack([_filter_map(single, sxy) for single in maps])


def _filter_map(single: Tensor, sxy: float) -> Tensor:
    """Both passes over one map ``(H, W)``."""
    for dim in (0, 1):
        size = single.shape[dim]
        reach = min(math.ceil(_REACH * sxy), size - 1)
        padded = F.pad(single, (0, 0) * (1 - dim) + (reach, reach))
        single, pair = single.clone(), torch.empty_like(single)
        for step in range(1, reach + 1):
            torch.add(
                padded.narrow(dim, reach - step, size),
                padded.narrow(dim, reach + step, size),
                out=pair)
            single.add_(pair, alpha=math.exp(-step**2 / (2 * sxy**2)))
    return single
