# Copyright (c) group_wsss contributors. All rights reserved.
from typing import List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError

# far below the deviation that one grey level of 256 leaves in one neighbour
_EPS = 1e-5


@MODELS.register_module()
class PixelAdaptiveRefinement(BaseModule):
    """Let maps flow between neighbouring pixels of similar colour.

    A pixel i has eight neighbours j at each dilation, of the nearest pixel
    of the border where they lie outside. With ``s_i`` the standard deviation
    of the colour over all neighbours of i, channel by channel, and ``d_j``
    and ``s_d`` the distances to the neighbours and their deviation,

    ``a_ij = softmax_j(-mean_c (|I_i - I_j| / (w1 s_i))^2)``,
    ``b_j = softmax_j(-(d_j / (w1 s_d))^2)``,
    ``m_i <- sum_j (a_ij + w2 b_j) m_j / (1 + w2)``, ``num_iters`` times.

    This is PAR (Learning Affinity from Attention, CVPR 2022, section 3.4).
    Its release leaves out the division by ``1 + w2``, which keeps maps in
    their range and divides all of them alike. PAMR (Single-Stage Semantic
    Segmentation from Image Labels, CVPR 2020, section 3.3) as released is
    ``distance='absolute', center=True, w1=0.1, w2=0``, with dilations 1, 2,
    4, 8, 12, 24 too.

    There is nothing to learn. It is differentiable in maps and in images; no
    gradient flows to images that need none, as in training. Images may be
    scaled and shifted channel by channel: only ratios count, so normalised
    network inputs do as well as images. Computed in float32 at least,
    also under autocast.

    The largest tensors hold one number per pixel and neighbour, and two of
    them live at a time, whatever the number of classes. Measured with 48
    neighbours and three maps of 500x375 pixels: 82 MB, with gradients to
    maps 170 MB, with gradients to images too 600 MB.

    Args:
        dilations (Sequence[int]): Distances of the neighbours in pixels.
            Defaults to (1, 2, 4, 8, 12, 24).
        num_iters (int): Iterations; 0 only resizes. Defaults to 10.
        w1 (float): Bandwidth in standard deviations. Defaults to 0.3.
        w2 (float): Weight of the positions beside the colours. Defaults to
            0.01.
        distance (str): ``'square'``, or ``'absolute'``, which takes
            ``|I_i - I_j| / (w1 s_i)`` without the square. Defaults to
            ``'square'``.
        center (bool): Count the pixel itself, once for each dilation, in
            its standard deviation. Defaults to False.

    Raises:
        InputError: If an option has a value that it cannot have.
    """

    def __init__(self,
                 dilations: Sequence[int] = (1, 2, 4, 8, 12, 24),
                 num_iters: int = 10,
                 w1: float = 0.3,
                 w2: float = 0.01,
                 distance: str = 'square',
                 center: bool = False) -> None:
        super().__init__()
        good = (
            ('dilations', dilations, len(dilations) and min(dilations) > 0),
            ('num_iters', num_iters, num_iters >= 0),
            ('w1', w1, w1 > 0),
            ('w2', w2, w2 >= 0),
            ('distance', distance, distance in ('square', 'absolute')),
        )
        for name, value, is_good in good:
            if not is_good:
                raise InputError(f'{name} of PixelAdaptiveRefinement cannot '
                                 f'be {value!r}')
        self.dilations = tuple(dilations)
        self.num_iters = num_iters
        self.w1 = w1
        self.w2 = w2
        self.distance = distance
        self.center = center
        self.offsets: List[Tuple[int, int]] = [(d * dy, d * dx)
                                               for d in dilations
                                               for dy in (-1, 0, 1)
                                               for dx in (-1, 0, 1)
                                               if dy or dx]

    def _neighbors(self, x: Tensor) -> List[Tensor]:
        """``(B, C, H, W)`` seen from each neighbour: views of one copy."""
        reach = max(self.dilations)
        height, width = x.shape[-2:]
        padded = F.pad(x, (reach, ) * 4, mode='replicate')
        return [
            padded[..., reach + dy:reach + dy + height,
                   reach + dx:reach + dx + width] for dy, dx in self.offsets
        ]

    def _position_weights(self, like: Tensor) -> Tensor:
        """Softmax of the distances, ``(1, N, 1, 1)``."""
        far = like.new_tensor(self.offsets).norm(dim=1)
        logits = far / (self.w1 * (far.std() + _EPS))
        if self.distance == 'square':
            logits = logits.square()
        return (-logits).softmax(0).view(1, -1, 1, 1)

    def affinity(self,
                 images: Tensor,
                 valid: Optional[Tensor] = None) -> Tensor:
        """Weights of the neighbours of every pixel.

        Args:
            images (Tensor): ``(B, 3, H, W)``; any number of channels.
            valid (Tensor, optional): ``(B, H, W)``, False on padding. The
                pixel itself stands in for a neighbour there, and a pixel
                there has no neighbour but itself. Defaults to None.

        Returns:
            Tensor: ``(B, N, H, W)``, ordered as ``offsets``; sums to 1. With
            ``valid`` one more, the weight of the pixel itself.
        """
        near, inside = self._neighbors(images), None
        if valid is not None:
            mask = valid[:, None].to(images.dtype)
            inside = [mask * n for n in self._neighbors(mask)]

        def difference(n: int) -> Tensor:
            # made anew in each of three loops: all of them together would
            # be three times the result
            delta = near[n] - images
            return delta if inside is None else delta * inside[n]

        count = len(self.offsets)
        extra = len(self.dilations) if self.center else 0
        mean = torch.zeros_like(images)
        for n in range(count):
            mean = mean + difference(n)
        mean = mean / (count + extra)
        var = extra * mean.square()
        for n in range(count):
            var = var + (difference(n) - mean).square()
        var = var / (count + extra - 1)
        # under the root: its slope at 0 is infinite
        scale = 1 / (self.w1 * (var + _EPS**2).sqrt())
        power = torch.square if self.distance == 'square' else torch.abs
        weights = torch.stack(
            [-power(difference(n) * scale).mean(1) for n in range(count)],
            1).softmax(1)
        if self.w2:
            weights = torch.lerp(weights, self._position_weights(images),
                                 self.w2 / (1 + self.w2))
        if inside is not None:
            weights = weights * torch.cat(inside, 1)
            weights = torch.cat([weights, 1 - weights.sum(1, keepdim=True)], 1)
        return weights

    def forward(self,
                images: Tensor,
                maps: Tensor,
                valid: Optional[Tensor] = None) -> Tensor:
        """Refine maps; those of each channel flow on their own.

        Args:
            images (Tensor): ``(B, 3, H, W)``.
            maps (Tensor): ``(B, C, h, w)``, resized to ``(H, W)`` first
                (bilinear, ``align_corners=False``).
            valid (Tensor, optional): ``(B, H, W)``, False on padding, from
                where nothing flows and where maps stay as they are.
                Defaults to None.

        Returns:
            Tensor: ``(B, C, H, W)`` of the type of ``maps``, within the
            range of ``maps``.
        """
        # torch.compile of torch 2.1 knows no promote_types
        double = maps.dtype == torch.float64
        dtype = torch.float64 if double else torch.float32
        size = images.shape[-2:]
        out = maps.to(dtype)
        if out.shape[-2:] != size:
            out = F.interpolate(
                out, size=size, mode='bilinear', align_corners=False)
        if self.num_iters:
            # unbind: one gradient for all neighbours, not one for each
            weights = self.affinity(images.to(dtype),
                                    valid).unsqueeze(2).unbind(1)
        for _ in range(self.num_iters):
            # zip drops the pixel itself where it has no weight
            near = self._neighbors(out) + [out]
            out = weights[0] * near[0]
            for weight, values in zip(weights[1:], near[1:]):
                out.addcmul_(weight, values)
        return out.to(maps.dtype)
