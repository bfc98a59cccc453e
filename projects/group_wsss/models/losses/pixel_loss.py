# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional, Tuple

import torch
import torch.nn as nn
from torch import Tensor

from ...utils.errors import InputError


def full_precision(values: Tensor) -> Tensor:
    """At least float32, whatever autocast made of it."""
    return values if values.dtype == torch.float64 else values.float()


class PixelLoss(nn.Module):
    """Base of the losses over pixels, with the conventions of mmseg's heads.

    A head calls ``loss(seg_logits, seg_label, weight=...,
    ignore_index=...)``. ``WeakEncoderDecoder`` also hands over
    ``soft_label``, ``image`` and ``valid``; a loss takes what it needs.

    Args:
        loss_weight (float): Factor on the loss. Defaults to 1.0.
        loss_name (str, optional): Name in the log; ``loss_`` in front makes
            it part of the total. Defaults to None, that of the class.
        avg_non_ignore (bool): Average over known pixels; False divides by
            all pixels. Defaults to True, unlike mmseg: pseudo labels are
            full of unknown pixels.
    """

    default_name = 'loss_pixel'
    needs_scores = False

    def __init__(self,
                 loss_weight: float = 1.0,
                 loss_name: Optional[str] = None,
                 avg_non_ignore: bool = True) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.loss_name = loss_name or self.default_name
        self.avg_non_ignore = avg_non_ignore

    def forward(self,
                seg_logits: Tensor,
                seg_label: Optional[Tensor] = None,
                weight: Optional[Tensor] = None,
                ignore_index: int = 255,
                soft_label: Optional[Tensor] = None,
                **kwargs: Any) -> Tensor:
        """Compute the loss, a weighted mean over the known pixels.

        Args:
            seg_logits (Tensor): ``(B, C, H, W)``.
            seg_label (Tensor, optional): ``(B, H, W)``, int64; losses of a
                soft label alone do not look at it.
            weight (Tensor, optional): ``(B, H, W)``, of a pixel sampler of
                mmseg; as there it does not enter the divisor. Defaults to
                None.
            ignore_index (int): Label of unknown pixels. Defaults to 255.
            soft_label (Tensor, optional): ``(B, C, H, W)``, sums to 1 over
                the classes; all 0 where a pixel is ignored.
            kwargs: Of heads of mmseg; without effect.

        Returns:
            Tensor: Scalar; 0 with zero gradients if no pixel is known.

        Raises:
            InputError: If there is one channel, or the loss needs a soft
                label and is given none.
        """
        if self.needs_scores:
            self.wanted(soft_label, 'soft labels')
        losses, known = self.pixel_losses(
            self.log_probs(seg_logits), seg_label, soft_label, ignore_index)
        if weight is not None:
            losses = losses * weight
        total = losses.masked_fill(~known, 0).sum()
        count: Any = known.numel()
        if self.avg_non_ignore:
            count = known.sum().clamp(min=1)
        return self.loss_weight * total / count

    def pixel_losses(self, log_probs: Tensor, seg_label: Any, soft_label: Any,
                     ignore_index: int) -> Tuple[Tensor, Tensor]:
        """What each pixel costs, and which pixels are known.

        Args:
            log_probs (Tensor): Of :meth:`log_probs`.
            seg_label (Tensor): See :meth:`forward`.
            soft_label (Tensor): See :meth:`forward`.
            ignore_index (int): See :meth:`forward`.

        Returns:
            tuple[Tensor, Tensor]: ``(B, H, W)``, finite everywhere, and
            bool ``(B, H, W)``.
        """
        raise NotImplementedError

    def log_probs(self, seg_logits: Tensor) -> Tensor:
        """Logarithm of the softmax over the classes, float32 or float64.

        Args:
            seg_logits (Tensor): ``(B, C, H, W)``.

        Returns:
            Tensor: ``(B, C, H, W)``.

        Raises:
            InputError: If there is one channel, which is no softmax.
        """
        if seg_logits.shape[1] < 2:
            raise InputError(
                f'{type(self).__name__} needs a logit for each class, but '
                'decode_head.out_channels is 1')
        return full_precision(seg_logits).log_softmax(1)

    def wanted(self, value: Optional[Tensor], what: str) -> Tensor:
        """``value``, or say in one line who would have given it.

        Args:
            value (Tensor, optional): An argument of ``forward``.
            what (str): What it is.

        Returns:
            Tensor: ``value``.

        Raises:
            InputError: If it is None.
        """
        if value is None:
            raise InputError(
                f'{type(self).__name__} needs {what}: put it into '
                "regularizers of model.type='group_wsss.WeakEncoderDecoder', "
                'and for soft labels LoadScores and PackScores into the '
                'train pipeline')
        return value
