# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError

BACKGROUND, UNUSED = -1, -2


@MODELS.register_module()
class SeedContrast(nn.Module):
    """Supervised contrast of keys between images, from class-map seeds.

    A position is a seed of its strongest tag where that map is at least
    ``foreground`` of its maximum, background where all maps are at most
    ``background``, else unused. Of the seeds a balanced sample is drawn. For
    a seed of a class, those of the same class *in other images* attract and
    all others of other images repel, background among them; background
    attracts nothing::

        loss_i = -mean_p log(exp(s k_i k_p) / sum_{j in other images}
                             exp(s k_i k_j))

    with unit keys k (Khosla et al., Supervised Contrastive Learning, NeurIPS
    2020). Settings are those of docs/method.md; tags alone are used.

    Args:
        foreground (float): In (0, 1]. Defaults to 0.55.
        background (float): In [0, ``foreground``). Defaults to 0.08.
        num_seeds (int): Positions drawn from a batch. Defaults to 512.
        background_share (float): Share of background among them, in [0, 1).
            Defaults to 0.3.
        scale (float): Factor s on the cosines. Defaults to 10.0.
        loss_weight (float): Defaults to 1.0.

    Raises:
        InputError: An option has a value that it cannot have.
    """

    def __init__(self,
                 foreground: float = 0.55,
                 background: float = 0.08,
                 num_seeds: int = 512,
                 background_share: float = 0.3,
                 scale: float = 10.0,
                 loss_weight: float = 1.0) -> None:
        super().__init__()
        if not 0 <= background < foreground <= 1:
            raise InputError(
                'SeedContrast needs 0 <= background < foreground <= 1, got '
                f'{background} and {foreground}')
        if num_seeds < 2 or not 0 <= background_share < 1:
            raise InputError(
                'SeedContrast needs num_seeds >= 2 and background_share in '
                f'[0, 1), got {num_seeds} and {background_share}')
        self.foreground = foreground
        self.background = background
        self.num_seeds = num_seeds
        self.background_share = background_share
        self.scale = scale
        self.loss_weight = loss_weight

    def seeds(self, maps: Tensor, valid: Optional[Tensor] = None) -> Tensor:
        """Seed of each position.

        Args:
            maps (Tensor): Of ``GroupCAMHead.tag_maps``, ``(B, C, H, W)``.
            valid (Tensor, optional): ``(B, H, W)``, False on padding.

        Returns:
            Tensor: int64 ``(B, H, W)``: class id, -1 background, -2 unused.
        """
        score, label = maps.max(1)
        label = label.masked_fill(score < self.foreground, UNUSED)
        label = label.masked_fill(score <= self.background, BACKGROUND)
        # an image without any map says nothing
        silent = score.flatten(1).amax(1) <= 0
        label = label.masked_fill(silent[:, None, None], UNUSED)
        if valid is not None:
            label = label.masked_fill(~valid.bool(), UNUSED)
        return label

    def draw(self, label: Tensor, num_classes: int) -> Tensor:
        """Draw seeds, as many of each class where there are enough.

        Args:
            label (Tensor): Of :meth:`seeds`, flat, ``(N, )``.
            num_classes (int): C.

        Returns:
            Tensor: ``(min(N, num_seeds), )`` places in ``label``; of unused
            positions where there are no others.
        """
        count = torch.zeros(
            num_classes + 2, device=label.device, dtype=torch.float)
        count.scatter_add_(0, label + 2, torch.ones_like(label).float())
        weight = (1 / count.clamp(min=1))[label + 2]
        classes = (count[2:] > 0).sum().clamp(min=1)
        share = self.background_share
        weight = torch.where(label == BACKGROUND,
                             weight * share / (1 - share) * classes, weight)
        weight = weight.masked_fill(label == UNUSED, 0)
        return torch.multinomial(weight + 1e-12, min(self.num_seeds,
                                                     len(label)))

    def forward(self,
                keys: Tensor,
                maps: Tensor,
                valid: Optional[Tensor] = None) -> Tensor:
        """Calculate the loss.

        Args:
            keys (Tensor): ``(B, D, H, W)``, with gradient.
            maps (Tensor): ``(B, C, H, W)`` in [0, 1], 0 for what is no tag.
            valid (Tensor, optional): ``(B, H, W)``, False on padding.
                Defaults to None.

        Returns:
            Tensor: Scalar; 0 with zero gradients if no class has seeds in
            two images.
        """
        label = self.seeds(maps, valid)
        image = torch.arange(len(label), device=label.device)
        image = image[:, None, None].expand_as(label).flatten()
        place = self.draw(label.flatten(), maps.shape[1])
        drawn = keys.permute(0, 2, 3, 1).flatten(0, 2)[place]
        return self.loss_weight * self.contrast(
            F.normalize(drawn, dim=1),
            label.flatten()[place], image[place])

    def contrast(self, keys: Tensor, label: Tensor, image: Tensor) -> Tensor:
        """Calculate the loss of drawn seeds.

        Args:
            keys (Tensor): Unit keys, ``(n, D)``.
            label (Tensor): ``(n, )``, see :meth:`seeds`.
            image (Tensor): ``(n, )``, the image of each.

        Returns:
            Tensor: Scalar, the mean over all seeds of classes that have a
            partner.
        """
        score = self.scale * keys @ keys.T
        used = label != UNUSED
        others = (image[:, None] != image) & used & used[:, None]
        positive = others & (label[:, None] == label) & (label >= 0)
        score = score.masked_fill(~others, torch.finfo(score.dtype).min)
        log_share = score - score.logsumexp(1, keepdim=True)
        count = positive.sum(1)
        mean = (log_share * positive).sum(1) / count.clamp(min=1)
        learns = count > 0
        return -(mean * learns).sum() / learns.sum().clamp(min=1)
