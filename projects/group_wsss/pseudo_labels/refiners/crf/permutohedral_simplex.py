# Copyright (c) group_wsss contributors. All rights reserved.
"""Simplices of the permutohedral lattice that points lie in."""
import math
from typing import Tuple

import torch
from torch import Tensor

# above it, float32 does not hold every integer
_MAX_COORDINATE = 2**23


def find_simplices(features: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """The enclosing simplex and the barycentric weights of every point.

    Points are put on the plane of zero sum in d + 1 dimensions so that the
    lattice, whose corners are integers congruent modulo d + 1, has cells of
    the size at which splat, blur and slice together make a Gaussian of
    standard deviation 1 (Adams, Baek and Davis, Fast High-Dimensional
    Filtering Using the Permutohedral Lattice, Eurographics 2010, sections
    3.1 to 3.3). A simplex is given by its corner of remainder 0 (``origin``)
    and by the order of a point's distances from it (``rank``, 0 for the
    largest). Both are in ``code = origin - rank``: the origin is a multiple
    of d + 1, the rank is below d + 1.

    Args:
        features (Tensor): ``(d, N)``, float, in standard deviations.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Codes, which name the simplices, and
        ranks, 0..d, both whole numbers as floats ``(d + 1, N)``; the share
        of each corner ``(N, d + 1)``, sums to 1.

    Raises:
        ValueError: A point is too far away for integers in floats.
    """
    dims, count = features.shape
    side = dims + 1
    # the rows of the paper's matrix E by one running sum
    point = features.new_empty(side, count)
    running = features.new_zeros(count)
    for i in range(dims, 0, -1):
        # sqrt(2 / 3) (d + 1): the blur's and the interpolation's variance
        scaled = features[i - 1] * (side * math.sqrt(2 / (3 * i * (i + 1))))
        torch.sub(running, scaled * i, out=point[i])
        running = running + scaled
    point[0] = running
    if not point.abs().max() < _MAX_COORDINATE:
        raise ValueError('the features are too many standard deviations wide')

    nearest = torch.round(point / side)
    code = nearest * side
    distance = point - code
    rank = distance.new_zeros((side, count), dtype=torch.int8)
    for j in range(side):
        rank[j] += j  # as if all before j were ahead of it
        for i in range(j):
            behind = (distance[i] < distance[j]).view(torch.int8)
            rank[i] += behind
            rank[j] -= behind
    # The nearest multiples do not sum to zero: `excess` of them are one step
    # too high. Moving those with the last ranks shifts every rank around the
    # circle by `excess` and leaves `code`, from which both are read, alone.
    rank = rank + nearest.sum(dim=0)
    code -= rank
    rank += ((rank < 0).to(rank.dtype) - (rank > dims).to(rank.dtype)) * side

    # distances from the right origin in descending order, as exchanges of
    # whole rows: much faster than a sort of d + 1 values N times
    rows = list((point - code - rank) / side)
    for i in range(side):
        for j in range(i + 1, side):
            rows[i], rows[j] = (torch.maximum(rows[i], rows[j]),
                                torch.minimum(rows[i], rows[j]))
    weights = [1 - (rows[0] - rows[-1])]
    weights += [rows[dims - k] - rows[side - k] for k in range(1, side)]
    return code, rank, torch.stack(weights, dim=1)
