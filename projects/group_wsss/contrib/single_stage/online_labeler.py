# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS
from ...structures.label_image import IGNORE_INDEX
from ...utils.errors import InputError


@MODELS.register_module()
class OnlineLabeler(BaseModule):
    """Label images of a batch from its class maps, on tensors.

    The rules are those of the refiner ``PixelAdaptive`` and of
    ``ThresholdLabeler``. Background has ``bg_threshold`` everywhere, or
    ``(1 - max_c s_c) ** bg_power``, and all scores of a pixel are divided by
    their sum; they flow between neighbours of alike colour; then a class has
    ``p_c / (max_k p_k + p_background)``, 0.5 where it equals background. The
    strongest class is the label above ``high``, background is it up to
    ``low``, and in between nothing is known.

    Unknown are padding, and an image none of whose tags has any evidence. An
    image without tags is background.

    Args:
        refine (dict, optional): Layer that lets maps flow; None leaves them
            as they are. Defaults to
            ``dict(type='group_wsss.PixelAdaptiveRefinement')``.
        bg_threshold (float): Score at which a class and background are
            equally likely, in (0, 1). Defaults to 0.35.
        bg_power (float, optional): Background is ``(1 - max_c s_c) **
            bg_power`` instead. Defaults to None.
        high (float): See above. Defaults to 0.5.
        low (float): At most ``high``. Defaults to 0.5.
        downscale (int): Refine at the size of the input divided by this
            (rounded up). Defaults to 2.

    Raises:
        InputError: If an option has a value that it cannot have.
    """

    def __init__(self,
                 refine: Optional[dict] = dict(
                     type='group_wsss.PixelAdaptiveRefinement'),
                 bg_threshold: float = 0.35,
                 bg_power: Optional[float] = None,
                 high: float = 0.5,
                 low: float = 0.5,
                 downscale: int = 2) -> None:
        super().__init__()
        good = (
            ('bg_threshold', bg_threshold, 0 < bg_threshold < 1),
            ('bg_power', bg_power, bg_power is None or bg_power > 0),
            ('high', high, 0 <= high <= 1),
            ('low', low, 0 <= low <= high),
            ('downscale', downscale, downscale in range(1, 1 << 16)),
        )
        for name, value, is_good in good:
            if not is_good:
                raise InputError(
                    f'{name} of OnlineLabeler cannot be {value!r}')
        self.refine = None if refine is None else MODELS.build(refine)
        self.bg_threshold = bg_threshold
        self.bg_power = bg_power
        self.high = high
        self.low = low
        self.downscale = downscale

    @torch.no_grad()
    def forward(self,
                images: Tensor,
                maps: Tensor,
                tags: Tensor,
                valid: Optional[Tensor] = None) -> Tensor:
        """Label a batch.

        Args:
            images (Tensor): ``(B, 3, H, W)``, of any scale.
            maps (Tensor): ``(B, C, h, w)`` in [0, 1], 0 for what is no tag.
            tags (Tensor): ``(B, C)``, above 0 where a class is a tag.
            valid (Tensor, optional): bool ``(B, H, W)``, False on padding.
                Defaults to None.

        Returns:
            Tensor: int64 ``(B, H, W)``: 0 background, class id + 1, 255
            unknown.
        """
        size = (images.shape[2], images.shape[3])
        # most classes are no tag: as many maps as the richest image has, by
        # their ids: a tie goes to the lowest
        count = max(int((tags > 0).sum(1).max()), 1)
        ids = (tags > 0).int().sort(
            dim=1, descending=True, stable=True)[1][:, :count]
        scores = maps.gather(
            1, ids[..., None, None].expand(-1, -1, *maps.shape[2:]))
        silent = (scores.flatten(1).amax(1) <= 0) & (tags > 0).any(1)
        scores = self.refined(images, scores, valid)
        best, place = _resized(scores, size).max(1)
        label = ids[:, :, None, None].expand(-1, -1, *size).gather(
            1, place.unsqueeze(1)).squeeze(1) + 1
        label = label.masked_fill(best <= self.high, IGNORE_INDEX)
        label = label.masked_fill(best <= self.low, 0)
        label = label.masked_fill(silent[:, None, None], IGNORE_INDEX)
        if valid is not None:
            label = label.masked_fill(~valid, IGNORE_INDEX)
        return label

    def refined(self, images: Tensor, scores: Tensor,
                valid: Optional[Tensor]) -> Tensor:
        """Weigh scores against background, after they have flown.

        Args:
            images (Tensor): ``(B, 3, H, W)``.
            scores (Tensor): ``(B, n, h, w)`` in [0, 1].
            valid (Tensor, optional): See :meth:`forward`.

        Returns:
            Tensor: ``(B, n, ceil(H / downscale), ceil(W / downscale))`` in
            [0, 1]; a class and background are equal at 0.5.
        """
        size = (-(-images.shape[2] // self.downscale),
                -(-images.shape[3] // self.downscale))
        if self.downscale > 1:
            images = F.interpolate(images, size=size, mode='area')
            if valid is not None:
                valid = F.interpolate(valid[:, None].float(), size=size)[:, 0]
                valid = valid > 0
        scores = _resized(scores.float(), size)
        if self.bg_power is None:
            background = torch.full_like(scores[:, :1], self.bg_threshold)
        else:
            background = (1 - scores.amax(1, True))**self.bg_power
        probs = torch.cat([background, scores], 1)
        probs = probs / probs.sum(1, keepdim=True)
        if self.refine is not None:
            probs = self.refine(images.float(), probs, valid)
        total = probs[:, 1:].amax(1, True) + probs[:, :1]
        return (probs[:, 1:] / total).nan_to_num(0).clamp(0, 1)


def _resized(maps: Tensor, size: Tuple[int, int]) -> Tensor:
    """Resize as :func:`group_wsss.structures.score_map.resize_maps`."""
    if tuple(maps.shape[2:]) == size:
        return maps
    return F.interpolate(
        maps, size=size, mode='bilinear', align_corners=False).clamp(0, 1)
