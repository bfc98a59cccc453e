# Copyright (c) group_wsss contributors. All rights reserved.
"""A random walk over the cells of a map, in bounded memory."""
from typing import Callable, List, Sequence, Tuple

import torch
from torch import Tensor

from ...models.affinity import pair_windows
from ...utils.errors import InputError

Offset = Tuple[int, int]


def random_walk(maps: Tensor,
                embedding: Tensor,
                log_affinity: Callable[[Tensor, Offset], Tensor],
                offsets: Sequence[Offset],
                beta: float = 8.0,
                num_steps: int = 64,
                max_bytes: int = 2**30) -> Tensor:
    """Apply the transition matrix of the affinities ``num_steps`` times.

    ``T = D^-1 W`` with ``w_ij = a_ij ** beta`` for neighbours, ``w_ii = 1``
    and ``D`` the row sums (PSA, Ahn and Kwak, CVPR 2018, eq. 9-10). The
    matrix is never formed: one step adds, for each offset, the shifted maps
    times the affinities of that offset.

    Affinities that do not fit into ``max_bytes`` are computed again for one
    band of rows after the other. A band is read with so many rows more on
    either side as some steps reach, so that it can make these steps alone;
    the result is the same.

    Args:
        maps (Tensor): float32 ``(n, h, w)``.
        embedding (Tensor): ``(C, h, w)``.
        log_affinity (Callable): From an embedding ``(C, h', w')`` and an
            offset to the logarithms ``(h' - |dy|, w' - |dx|)``.
        offsets (Sequence[tuple[int, int]]): One of each two opposite steps
            to a neighbour, see ``group_wsss.models.affinity.pair_offsets``.
        beta (float): Exponent of the affinities. Defaults to 8.
        num_steps (int): Defaults to 64.
        max_bytes (int): Memory for all that the walk makes on top of
            ``maps`` and ``embedding``. Defaults to 1 GiB.

    Returns:
        Tensor: ``(n, h, w)``, each value a mean of those of ``maps``.

    Raises:
        InputError: ``max_bytes`` is not enough for the smallest band.
    """
    height = maps.shape[-2]
    reach = max((abs(dy) for dy, _ in offsets), default=0)
    rows = _rows_that_fit(maps, len(embedding), len(offsets), max_bytes)
    if rows >= height:
        return _walk_band(maps, embedding, log_affinity, offsets, beta,
                          num_steps)
    if rows <= 2 * reach:
        missing = _bytes_needed(maps, len(embedding), len(offsets),
                                2 * reach + 1)
        raise InputError(
            f'max_bytes={max_bytes} is too little for a walk over '
            f'{len(maps)} maps of {height}x{maps.shape[-1]}: must be at '
            f'least {missing}')
    at_once = _steps_at_once(rows, reach, len(embedding), 2 * len(maps),
                             num_steps)
    source, target = maps, torch.empty_like(maps)
    while num_steps:
        steps = min(at_once, num_steps)
        inner = rows - 2 * steps * reach
        for top in range(0, height, inner):
            end = min(top + inner, height)
            low = max(top - steps * reach, 0)
            high = min(end + steps * reach, height)
            band = _walk_band(source[:, low:high], embedding[:, low:high],
                              log_affinity, offsets, beta, steps)
            target[:, top:end] = band[:, top - low:end - low]
            del band
        if source is maps:  # the caller's stay as they are
            source = torch.empty_like(maps)
        source, target = target, source
        num_steps -= steps
    return source


def _bytes_needed(maps: Tensor, channels: int, pairs: int, rows: int) -> int:
    """Memory of a walk whose bands have so many rows."""
    count, height, width = maps.shape
    if rows >= height:  # no copies of the whole
        height, rows = 0, height
    # affinities, the gap of two embeddings and its absolute value, three
    # states of the maps, row sums, and a few maps for what torch makes
    per_cell = pairs + 2 * channels + 4 * count + 6
    return maps.element_size() * width * (rows * per_cell + 2 * count * height)


def _rows_that_fit(maps: Tensor, channels: int, pairs: int,
                   max_bytes: int) -> int:
    """The most rows of a band; all of the map if possible."""
    height = maps.shape[-2]
    if _bytes_needed(maps, channels, pairs, height) <= max_bytes:
        return height
    none = _bytes_needed(maps, channels, pairs, 0)
    row = _bytes_needed(maps, channels, pairs, 1) - none
    return min((max_bytes - none) // row, height - 1)


def _steps_at_once(rows: int, reach: int, channels: int, per_step: int,
                   num_steps: int) -> int:
    """Steps of a band that make the whole walk cheapest.

    A band that makes more steps is computed less often, but more of it is
    only there for the sake of its inner rows.
    """

    def cost(steps: int) -> float:
        work = channels + steps * per_step
        return work / steps / (rows - 2 * steps * reach)

    # with a reach of 0 rows do not mix: one band does all steps
    most = (rows - 1) // (2 * reach) if reach else num_steps
    return min(range(1, min(most, num_steps) + 1), key=cost, default=1)


def _walk_band(maps: Tensor, embedding: Tensor,
               log_affinity: Callable[[Tensor, Offset],
                                      Tensor], offsets: Sequence[Offset],
               beta: float, num_steps: int) -> Tensor:
    """Some steps over all rows that are given."""
    ends = [pair_windows(maps.shape[-2:], offset) for offset in offsets]
    weights: List[Tensor] = []
    total = torch.ones_like(maps[0])
    for offset, (first, second) in zip(offsets, ends):
        weight = log_affinity(embedding, offset).mul_(beta).exp_()
        total[first] += weight
        total[second] += weight
        weights.append(weight)
    state = maps
    for _ in range(num_steps):
        new = state.clone()
        for weight, (first, second) in zip(weights, ends):
            one, other = (..., *first), (..., *second)
            new[one].addcmul_(state[other], weight)
            new[other].addcmul_(state[one], weight)
        state = new.div_(total)
    return state
