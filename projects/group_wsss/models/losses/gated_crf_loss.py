# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ...utils.pairs import pair_windows
from .pixel_loss import PixelLoss, full_precision


@MODELS.register_module()
class GatedCRFLoss(PixelLoss):
    """Alike neighbours should get the same class; no compiled extension.

    The pairwise energy of a CRF with Potts model, relaxed to probabilities
    and cut off outside a window (Obukhov et al., Gated CRF Loss for Weakly
    Supervised Semantic Image Segmentation, 2019)::

        L = 1 / N * sum_i sum_{j in window(i), j != i} g_i g_j k_ij
                    (1 - sum_c p_ic p_jc)
        k_ij = exp(-|x_i - x_j|^2 / (2 sigma_xy^2)
                   - |I_i - I_j|^2 / (2 sigma_rgb^2))

    ``x`` are positions in cells, ``I`` colours in [0, 1], ``p`` the softmax,
    ``N`` the number of cells with an open gate ``g``. Gates are closed on
    the padding of a batch, and on a whole image of which no pixel has a
    label, since smoothness alone has one answer: one class everywhere. Unknown
    pixels of the others take part, which is how they learn;
    ``known_only=True`` closes theirs as well.

    Logits and image are averaged over squares of ``downscale`` pixels.
    One shift of the window is held at a time, so the memory is a few maps
    ``(B, C, h, w)`` whatever the radius.

    Args:
        radius (int): Of the window, in cells. Defaults to 5.
        sigma_xy (float): In cells. Defaults to 6.0.
        sigma_rgb (float): Colour distance, 1 is black to white in one
            channel. Defaults to 0.1.
        downscale (int): Pixels to a cell, along each axis. Defaults to 4.
        known_only (bool): Close the gate of cells that hold an unknown
            pixel. Defaults to False.
        loss_weight (float): Factor on the loss. Defaults to 0.1.
        loss_name (str, optional): Name in the log. Defaults to None,
            ``'loss_gated_crf'``.

    Raises:
        InputError: If an option has a value that it cannot have.
    """

    default_name = 'loss_gated_crf'

    def __init__(self,
                 radius: int = 5,
                 sigma_xy: float = 6.0,
                 sigma_rgb: float = 0.1,
                 downscale: int = 4,
                 known_only: bool = False,
                 loss_weight: float = 0.1,
                 loss_name: Optional[str] = None) -> None:
        super().__init__(loss_weight, loss_name)
        limits = dict(
            radius=(radius, 1),
            downscale=(downscale, 1),
            sigma_xy=(sigma_xy, 1e-3),
            sigma_rgb=(sigma_rgb, 1e-3))
        for name, (value, low) in limits.items():
            if not value >= low:
                raise InputError(
                    f'{name} of GatedCRFLoss is {value}, must be >= {low}')
        self.shifts = [(dy, dx) for dy in range(radius + 1)
                       for dx in range(-radius, radius + 1)
                       if (dy, dx) > (0, 0)]
        self.sigma_xy = sigma_xy
        self.sigma_rgb = sigma_rgb
        self.downscale = downscale
        self.known_only = known_only

    def forward(self,
                seg_logits: Tensor,
                seg_label: Any = None,
                weight: Optional[Tensor] = None,
                ignore_index: int = 255,
                soft_label: Optional[Tensor] = None,
                image: Optional[Tensor] = None,
                valid: Optional[Tensor] = None,
                **kwargs: Any) -> Tensor:
        """Compute the loss.

        Args:
            seg_logits (Tensor): ``(B, C, H, W)``.
            seg_label (Tensor): ``(B, H, W)``, int64; only where it is
                unknown matters.
            weight (Tensor, optional): Without effect.
            ignore_index (int): Label of unknown pixels. Defaults to 255.
            soft_label (Tensor, optional): Without effect.
            image (Tensor): ``(B, 3, H, W)``, colours in [0, 1].
            valid (Tensor, optional): ``(B, H, W)``, False on padding.
                Defaults to None, which means no padding.
            kwargs: Of heads of mmseg; without effect.

        Returns:
            Tensor: Scalar.

        Raises:
            InputError: If there is no image.
        """
        image = self.wanted(image, 'the image')
        known = seg_label != ignore_index
        gate = known.flatten(1).any(1)[:, None, None].expand_as(known)
        if valid is not None:
            gate = gate & valid
        if self.known_only:
            gate = gate & known
        height, width = (
            max(n // self.downscale, 1) for n in seg_label.shape[1:])
        size = (height, width)
        probs = self.log_probs(
            F.adaptive_avg_pool2d(full_precision(seg_logits), size)).exp()
        with torch.no_grad():
            image = F.adaptive_avg_pool2d(image.to(probs.dtype), size)
            # open only if every pixel of the cell is
            closed = F.adaptive_max_pool2d((~gate).to(probs.dtype), size)
            gate = 1 - closed.unsqueeze(1)
            message, total = self._messages(probs, image, gate)
        # the energy is total - sum_i p_i m_i(p); its gradient is -2 m, since
        # the kernel is symmetric, and this has that value and that gradient
        energy = total - ((2 * probs - probs.detach()) * message).sum()
        return self.loss_weight * energy / gate.sum().clamp(min=1)

    def _messages(self, probs: Tensor, image: Tensor,
                  gate: Tensor) -> Tuple[Tensor, Tensor]:
        """Kernel times probabilities, and the sum of the kernel."""
        message, total = torch.zeros_like(probs), probs.new_zeros(())
        for dy, dx in self.shifts:
            begin, end = pair_windows(probs.shape[2:], (dy, dx))
            here, there = (..., *begin), (..., *end)
            colour = (image[here] - image[there]).square().sum(1, keepdim=True)
            kernel = gate[here] * gate[there] * torch.exp(
                -(dy * dy + dx * dx) / (2 * self.sigma_xy**2) - colour /
                (2 * self.sigma_rgb**2))
            message[here].addcmul_(kernel, probs[there])
            message[there].addcmul_(kernel, probs[here])
            total += 2 * kernel.sum()
        return message, total
