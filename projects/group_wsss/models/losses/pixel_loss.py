# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional

import torch
import torch.nn as nn
from torch import Tensor

from ...utils.errors import InputError


def full_precision(values: Tensor) -> Tensor:
    """At least float32, whatever autocast made of it.

    Args:
        values (Tensor): Of any floating type.

    Returns:
        Tensor: float32 or float64.
    """
    return values if values.dtype == torch.float64 else values.float()


class PixelLoss(nn.Module):
    """Base of the losses over pixels, with the conventions of mmseg's heads.

    A head calls ``loss(seg_logits, seg_label, weight=...,
    ignore_index=...)``. ``WeakEncoderDecoder`` also hands over
    ``soft_label``, ``image`` and ``valid``; a loss takes what it needs.

    Args:
        loss_weight (float): Factor on the loss. Defaults to 1.0.
        loss_name (str): Name in the log; ``loss_`` in front makes it part of
            the total. Defaults to ``'loss_pixel'``.
        avg_non_ignore (bool): Average over known pixels; False divides by
            all pixels. Defaults to True, unlike mmseg: pseudo labels are
            full of unknown pixels.
    """

    def __init__(self,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_pixel',
                 avg_non_ignore: bool = True) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self._loss_name = loss_name
        self.avg_non_ignore = avg_non_ignore

    @property
    def loss_name(self) -> str:
        """str: Name in the log."""
        return self._loss_name

    def log_probs(self, seg_logits: Tensor) -> Tensor:
        """Logarithm of the softmax over the classes.

        Args:
            seg_logits (Tensor): ``(B, C, H, W)``.

        Returns:
            Tensor: ``(B, C, H, W)``, float32 or float64.

        Raises:
            InputError: If there is one channel, which is no softmax.
        """
        if seg_logits.shape[1] < 2:
            raise InputError(
                f'{type(self).__name__} needs a logit for each class, but '
                'decode_head.out_channels is 1')
        return full_precision(seg_logits).log_softmax(1)

    def average(self,
                losses: Tensor,
                known: Tensor,
                weight: Optional[Tensor] = None) -> Tensor:
        """Weighted mean over the known pixels.

        Args:
            losses (Tensor): ``(B, H, W)``, finite everywhere.
            known (Tensor): ``(B, H, W)``, False where ignored.
            weight (Tensor, optional): ``(B, H, W)``, of a pixel sampler of
                mmseg; as there it does not enter the divisor. Defaults to
                None.

        Returns:
            Tensor: Scalar; 0 with zero gradients if no pixel is known.
        """
        if weight is not None:
            losses = losses * weight
        total = losses.masked_fill(~known, 0).sum()
        count: Any = known.numel()
        if self.avg_non_ignore:
            count = known.sum().clamp(min=1)
        return self.loss_weight * total / count

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
