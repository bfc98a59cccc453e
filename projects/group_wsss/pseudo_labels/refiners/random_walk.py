# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Callable, List, Optional, Sequence, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.device import get_device
from torch import Tensor

from ...registry import TASK_UTILS
from ...utils.errors import InputError
from ...utils.pairs import Offset, pair_offsets, pair_windows
from ..options import check_options
from .background import BackgroundRefiner, remove_background
from .network import load_network, shrunk


@TASK_UTILS.register_module()
class RandomWalk(BackgroundRefiner):
    """Spread class maps over cells that a trained network finds alike.

    AffinityNet of PSA (Ahn and Kwak, CVPR 2018) reads the image; the
    maps of background and of all classes walk at random over its grid and
    change places with neighbours as often as the affinity ``a_ij ** beta``
    says. Train the network with a config of ``configs/affinity``. ::

        dict(
            type='group_wsss.RandomWalk',
            config='configs/affinity/affinity_effnet-lite0_voc-layout.py',
            checkpoint='work_dirs/affinity/iter_150.pth')

    Args:
        config (str | dict): Config with the ``model``, or its path.
        checkpoint (str): The trained weights; read without running code.
        beta (float): Exponent of the affinities: a larger one keeps maps
            from leaking over weak borders. Defaults to 8.
        num_steps (int): Steps of the walk. Defaults to 64.
        radius (float): Neighbours are less than so many cells away.
            Defaults to 5.
        bg_threshold (float | str): Score at which a class and background
            are equally likely, or a rule that chooses it, such as
            ``'otsu'``. Defaults to 0.5.
        bg_power (float, optional): Background is ``(1 - max) ** bg_power``
            instead, as in PSA. Defaults to None.
        power (float): The probabilities are raised to it before they walk.
            At 1, as in PSA, a large background soon seeps into weak
            classes, and the best threshold sinks with every step; surer
            ones stay on their side of 0.5. Defaults to 4.
        max_bytes (int): Memory for the walk; the network's own grows with
            ``max_pixels``. Defaults to 1 GiB.
        max_pixels (int): An image of more pixels is made smaller for
            the network. Defaults to 2**22.
        device (str, optional): Defaults to None, a GPU if there is one.

    Raises:
        InputError: A config or checkpoint that is missing or does not fit,
            or an option that is out of its range.
    """

    def __init__(self,
                 config: Union[str, dict],
                 checkpoint: str,
                 beta: float = 8.0,
                 num_steps: int = 64,
                 radius: float = 5,
                 bg_threshold: Union[float, str] = 0.5,
                 bg_power: Optional[float] = None,
                 power: float = 4.0,
                 max_bytes: int = 2**30,
                 max_pixels: int = 2**22,
                 device: Optional[str] = None) -> None:
        check_options(
            'RandomWalk',
            beta=(beta, beta > 0, '> 0'),
            num_steps=(num_steps, num_steps >= 1, '>= 1'),
            radius=(radius, radius > 1, '> 1'),
            power=(power, power > 0, '> 0'),
            max_pixels=(max_pixels, max_pixels >= 1, '>= 1'))
        self.set_background(bg_threshold, bg_power)
        self.beta = beta
        self.num_steps = int(num_steps)
        self.offsets = pair_offsets(radius)
        self.power = power
        self.max_bytes = int(max_bytes)
        self.max_pixels = max_pixels
        self.device = torch.device(device or get_device())
        self.net: Any = load_network(config, checkpoint, 'RandomWalk')[0]
        if not hasattr(getattr(self.net, 'head', None), 'log_affinity'):
            raise InputError('config of RandomWalk builds '
                             f'{type(self.net).__name__}, not an AffinityNet')
        self.net.to(self.device)

    @torch.no_grad()
    def embed(self, image: np.ndarray) -> Tensor:
        """Embedding of an image.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            Tensor: ``(C, h, w)``.
        """
        # as a pipeline gives it: BGR, channels first
        pixels = torch.from_numpy(
            np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)))
        size = shrunk(image.shape, self.max_pixels)
        if size != image.shape[:2]:
            pixels = F.interpolate(
                pixels[None].float(), size=size, mode='area')[0]
        data = dict(inputs=[pixels], data_samples=None)
        inputs = self.net.data_preprocessor(data, False)['inputs']
        return self.net(inputs)[0]

    @torch.no_grad()
    def refine(self, maps: np.ndarray, image: Any = None) -> np.ndarray:
        """See :class:`BaseRefiner`; the result has the network's grid."""
        embedding = self.embed(image)
        maps = F.interpolate(
            torch.from_numpy(maps)[None],
            size=embedding.shape[-2:],
            mode='bilinear',
            align_corners=False)[0].clamp_(0, 1).numpy()
        probs = self.probabilities(maps)**self.power
        probs /= probs.sum(axis=0)
        walked = random_walk(
            torch.from_numpy(probs).to(self.device), embedding,
            self.net.head.log_affinity, self.offsets, self.beta,
            self.num_steps, self.max_bytes)
        return remove_background(walked.cpu().numpy())


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
            to a neighbour, see ``group_wsss.utils.pairs.pair_offsets``.
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
