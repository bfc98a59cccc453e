# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Dict, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ...utils.pairs import Offset, pair_offsets, pair_windows


@MODELS.register_module()
class AffinityHead(BaseModule):
    """Embedding of every cell; cells of one object should be alike.

    Each chosen level of the backbone, and the image itself with
    ``use_image``, is standardised, reduced by a 1x1 convolution and resized
    to the grid of one level; another 1x1 convolution mixes them into the
    embedding ``f``. The affinity of two cells is PSA's (Ahn and Kwak, CVPR
    2018, eq. 1): ``a_ij = exp(-mean_c |f_ic - f_jc|)``.

    Args:
        in_channels (Sequence[int]): Channels of the chosen levels.
        in_index (Sequence[int]): Positions of the levels in the output of
            the backbone. Defaults to (0, 1, 2, 3).
        grid_index (int, optional): Position of the level on whose grid the
            embedding lives. Defaults to None, which means the first of
            ``in_index``, commonly the finest.
        use_image (bool): Whether the colours of the image are one more
            level. Defaults to True.
        mid_channels (int): Channels of a level once reduced. Defaults to
            64.
        channels (int): Channels of the embedding. Defaults to 64.
        radius (float): Pairs that are less than so many cells apart are
            learned from. Defaults to 5.
        loss (dict): Defaults to ``dict(type='group_wsss.AffinityLoss')``.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        InputError: ``in_channels`` and ``in_index`` differ in length, or
            the radius leaves no pair.
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 in_index: Sequence[int] = (0, 1, 2, 3),
                 grid_index: Optional[int] = None,
                 use_image: bool = True,
                 mid_channels: int = 64,
                 channels: int = 64,
                 radius: float = 5,
                 loss: dict = dict(type='group_wsss.AffinityLoss'),
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(in_channels) != len(in_index) or not len(in_index):
            raise InputError(f'in_channels {list(in_channels)} and in_index '
                             f'{list(in_index)} of AffinityHead must name '
                             'the same levels')
        self.offsets = pair_offsets(radius)
        if not self.offsets:
            raise InputError(f'radius of AffinityHead is {radius}: no cell '
                             'has a neighbour, must be > 1')
        self.in_index = tuple(in_index)
        self.grid_index = in_index[0] if grid_index is None else grid_index
        self.use_image = use_image
        sources = [*in_channels, *([3] if use_image else [])]
        self.reduce = nn.ModuleList(
            nn.Sequential(
                # levels differ in size by orders of magnitude
                nn.BatchNorm2d(count, affine=False),
                nn.Conv2d(count, mid_channels, 1),
                nn.ELU()) for count in sources)
        self.mix = nn.Sequential(
            nn.Conv2d(mid_channels * len(sources), channels, 1), nn.ELU())
        self.loss_module = MODELS.build(loss)

    def forward(self, feats: Tuple[Tensor, ...], image: Tensor) -> Tensor:
        """Embedding of every cell.

        Args:
            feats (tuple[Tensor]): Levels ``(B, C_l, h_l, w_l)``.
            image (Tensor): What the backbone saw, ``(B, 3, H, W)``.

        Returns:
            Tensor: ``(B, channels, h, w)``, on the grid of ``grid_index``.
        """
        height, width = feats[self.grid_index].shape[-2:]
        size = (height, width)
        levels = [feats[index] for index in self.in_index]
        if self.use_image:
            levels.append(F.adaptive_avg_pool2d(image, size))
        reduced = [
            _resize(reduce(level), size)
            for reduce, level in zip(self.reduce, levels)
        ]
        return self.mix(torch.cat(reduced, dim=1))

    @staticmethod
    def log_affinity(embedding: Tensor, offset: Offset) -> Tensor:
        """Logarithm of the affinity of all pairs of an offset.

        Args:
            embedding (Tensor): ``(..., C, h, w)``.
            offset (tuple[int, int]): From the first cell to the second.

        Returns:
            Tensor: ``(..., h - |dy|, w - |dx|)``, at most 0.
        """
        first, second = pair_windows(embedding.shape[-2:], offset)
        gap = embedding[(..., *first)] - embedding[(..., *second)]
        return -gap.abs().mean(dim=-3)

    def loss(self, feats: Tuple[Tensor, ...], image: Tensor,
             seeds: Tensor) -> Dict[str, Tensor]:
        """Loss of a batch.

        Args:
            feats (tuple[Tensor]): As in :meth:`forward`.
            image (Tensor): As in :meth:`forward`.
            seeds (Tensor): ``(B, H, W)``: 0 background, class id + 1, 255
                unknown; each cell takes the pixel at its centre.

        Returns:
            dict[str, Tensor]: Losses.
        """
        embedding = self(feats, image)
        labels = F.interpolate(
            seeds[:, None].float(), embedding.shape[-2:], mode='nearest-exact')
        return self.loss_module(
            lambda offset: self.log_affinity(embedding, offset),
            labels[:, 0].long(), self.offsets)


def _resize(level: Tensor, size: Tuple[int, int]) -> Tensor:
    """Bilinear up, mean over cells down."""
    if level.shape[-2] > size[0] and level.shape[-1] > size[1]:
        return F.adaptive_avg_pool2d(level, size)
    return F.interpolate(
        level, size=size, mode='bilinear', align_corners=False)
