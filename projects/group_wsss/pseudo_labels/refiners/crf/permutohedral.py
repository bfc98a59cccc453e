# Copyright (c) group_wsss contributors. All rights reserved.
from dataclasses import dataclass
from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .permutohedral_simplex import find_simplices

# embedding_bag counts in int32
_MAX_ENTRIES = 2**31


@dataclass
class _Gather:
    """A sparse matrix: weighted sums of rows."""

    rows: Tensor  # int32 (R, n), or (n, ) with offsets
    weights: Tensor  # like index
    offsets: Optional[Tensor] = None  # int32 (R + 1, )

    def __call__(self, values: Tensor) -> Tensor:
        """``(n', C)`` to ``(R, C)``; each sum in a fixed order."""
        return F.embedding_bag(
            self.rows,
            values,
            self.offsets,
            mode='sum',
            per_sample_weights=self.weights,
            include_last_offset=self.offsets is not None)


class PermutohedralLattice:
    """Gaussian filter of N points with d features in O(N d^2).

    ``filter(v)_i`` approximates ``c sum_j exp(-|f_i - f_j|^2 / 2) v_j``,
    with one unknown constant ``c`` of about 1 that the usual normalisations
    cancel. Adams, Baek and Davis, Fast High-Dimensional Filtering Using the
    Permutohedral Lattice, Eurographics 2010: values are splatted onto the
    corners of the simplex around each point, blurred with
    ``(1/2, 1, 1/2)`` along each of the d + 1 directions and sliced back.

    No hash table and no loop over points: corners are int64 keys, found by
    one stable sort of the occupied simplices. All is built once for the
    features and then used for any number of values. Results do not depend
    on the number of threads.

    Args:
        features (Tensor): ``(d, N)``, float32 or float64, in standard
            deviations.

    Raises:
        ValueError: The features are so wide that the keys do not fit.
    """

    def __init__(self, features: Tensor) -> None:
        dims, count = features.shape
        side = dims + 1
        if count * side >= _MAX_ENTRIES:
            raise ValueError(f'{count} points are too many')
        code, rank, weights = find_simplices(features)
        strides, total = _strides(code)
        low = code[:dims].amin(dim=1)
        keys = torch.zeros_like(features[0], dtype=torch.int64)
        for row, least, stride in zip(code, low, strides):
            keys += (row - least).long() * stride
        keys, order, simplex, first = _number(keys)

        # corner k is the origin plus k in all coordinates, minus d + 1 in
        # those of the last k ranks
        rank = rank[:, order[first]].long()
        steps = torch.tensor(strides, device=keys.device)[:, None]
        by_rank = torch.empty_like(rank).scatter_(0, rank,
                                                  steps.expand_as(rank))
        corners = torch.cat([(keys[first] + (rank * steps).sum(dim=0))[None],
                             total - side * by_rank[1:].flip(0)]).cumsum(0)
        corner_keys, corner_order, corner, corner_first = _number(
            corners.flatten())
        vertex_keys = corner_keys[corner_first]

        self.num_vertices = len(vertex_keys)
        self._slice = _Gather(
            corner.view(side, -1).t().int().contiguous()[simplex], weights)
        self._splat = _transpose(order, simplex, first, corner_order,
                                 corner_first, weights)
        self._blurs = [
            _blur(vertex_keys, total - side * stride, weights.dtype)
            for stride in strides
        ]
        self._scale = 1 / (1 + 2**-dims)

    def filter(self, values: Tensor) -> Tensor:
        """Filter values at the points.

        Args:
            values (Tensor): ``(N, C)`` of the dtype of the features.

        Returns:
            Tensor: ``(N, C)``.
        """
        values = self._splat(values)
        for blur in self._blurs:
            values = blur(values)
        return self._slice(values) * self._scale


def _strides(code: Tensor) -> Tuple[List[int], int]:
    """Factors of the d + 1 coordinates in a key, the last 0; their sum.

    The last coordinate follows from the others. Corners and their neighbours
    differ from a code by at most 2 d + 1 either way.
    """
    dims = len(code) - 1
    sizes = (code.amax(dim=1) - code.amin(dim=1) + 4 * dims + 2).tolist()
    strides, product = [0], 1
    for size in sizes[dims - 1::-1]:
        strides.insert(0, product)
        product *= int(size)
    if product >= 2**62:
        raise ValueError('the features are too many standard deviations wide')
    return strides, sum(strides)


def _number(keys: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Number distinct keys in ascending order.

    Returns:
        tuple[Tensor, Tensor, Tensor, Tensor]: Sorted keys, their order, the
        number of each key, and where each number begins in the order.
    """
    keys, order = torch.sort(keys, stable=True)
    new = torch.ones_like(keys, dtype=torch.bool)
    new[1:] = keys[1:] != keys[:-1]
    number = torch.empty_like(order).scatter_(0, order, new.cumsum(0) - 1)
    return keys, order, number, new.nonzero()[:, 0]


def _transpose(order: Tensor, simplex: Tensor, first: Tensor,
               corner_order: Tensor, corner_first: Tensor,
               weights: Tensor) -> _Gather:
    """The splat: for each vertex, its points and their weights.

    A sort of all N (d + 1) entries would take longer than everything else.
    But the corners of the simplices are sorted already, so it is known where
    the entries of each begin, and a point comes as many places later as
    there are points of its simplex before it.
    """
    (count, side), device = weights.shape, weights.device
    position = torch.arange(count, device=device)
    before = torch.empty_like(position).scatter_(
        0, order, position - first[simplex[order]])
    points = torch.diff(first, append=first.new_tensor([count]))
    end = points[corner_order % len(first)].cumsum(0)
    begin = torch.cat([end.new_zeros(1), end])
    place = torch.empty_like(corner_order).scatter_(0, corner_order,
                                                    begin[:-1])
    place = place.view(side, -1).t().contiguous()[simplex]
    place = place.add_(before[:, None]).flatten()
    index = position.int()[:, None].expand(-1, side).flatten()
    offsets = begin[torch.cat([corner_first, corner_first.new_tensor([-1])])]
    return _Gather(
        torch.empty_like(index).scatter_(0, place, index),
        torch.empty_like(weights).view(-1).scatter_(0, place,
                                                    weights.flatten()),
        offsets.int())


def _blur(keys: Tensor, step: int, dtype: torch.dtype) -> _Gather:
    """``(1/2, 1, 1/2)`` along one direction; no neighbour counts as 0."""
    here = torch.arange(len(keys), device=keys.device)
    ahead = torch.searchsorted(keys, keys + step).clamp_(max=len(keys) - 1)
    exists = keys[ahead] == keys + step
    index = here[:, None].repeat(1, 3)
    weights = torch.zeros_like(index, dtype=dtype)
    weights[:, 0] = 1
    here, ahead = here[exists], ahead[exists]
    index[here, 1], weights[here, 1] = ahead, 0.5
    index[ahead, 2], weights[ahead, 2] = here, 0.5
    return _Gather(index.int(), weights)
