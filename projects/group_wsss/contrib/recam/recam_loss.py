# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ...models.layers.pca_whitening import no_autocast
from ...models.utils import check_choice
from ...registry import MODELS

# added to the maximum of a map
_EPS = 1e-5


@MODELS.register_module()
class ReCAMLoss(BaseModule):
    """Softmax cross entropy of features pooled under the class maps.

    For every class ``c`` of an image, ``f_c = mean(A_c f)`` with its class
    map ``A_c`` (ReLU, divided by its maximum), and the loss is the cross
    entropy of ``softmax(W' f_c)`` against ``c``: mean over the classes of an
    image, then over the images. Classes compete here, as they do not in the
    binary cross entropy that the maps come from. Source: Class
    Re-Activation Maps (Chen et al., CVPR 2022).

    ``W' f_c = mean(A_c W' f)``, so the softmax classifier is a 1x1
    convolution like the other one, and what is needed of ``f`` is its map
    ``W' f``.

    Args:
        loss_weight (float): Factor. Defaults to 1.0, the paper's for VOC;
            0.1 is its value for COCO.
        detach (bool): Hold the class maps fixed, so that the loss trains
            only the softmax classifier and the features. Defaults to False,
            as published.
        map_source (str): What predictions show, ``ReLU(W'' f)`` without
            bias: ``'product'``, ``W'' = W * W'`` element by element, as
            published; ``'sum'``, ``W + W'``; ``'softmax'``, ``W'``;
            or ``'cam'``, the logits, bias and all. Defaults to
            ``'product'``.

    Raises:
        InputError: If ``map_source`` is none of these.
    """

    def __init__(self,
                 loss_weight: float = 1.0,
                 detach: bool = False,
                 map_source: str = 'product') -> None:
        super().__init__()
        check_choice('ReCAMLoss', 'map_source', map_source,
                     ('product', 'sum', 'softmax', 'cam'))
        self.loss_weight = loss_weight
        self.detach = detach
        self.map_source = map_source

    def weight(self, cam: Tensor, softmax: Tensor) -> Optional[Tensor]:
        """``W''``, which reads the maps that predictions show.

        Args:
            cam (Tensor): ``W`` of the binary cross entropy, any shape.
            softmax (Tensor): ``W'``, the same shape.

        Returns:
            Tensor | None: The same shape; None for ``'cam'``.
        """
        if self.map_source == 'cam':
            return None
        if self.map_source == 'softmax':
            return softmax
        return cam * softmax if self.map_source == 'product' else cam + softmax

    def forward(self,
                maps: Tensor,
                softmax_maps: Tensor,
                target: Tensor,
                valid: Optional[Tensor] = None) -> Tensor:
        """The loss, in full precision also under autocast.

        Args:
            maps (Tensor): Class maps ``W f``, logits ``(B, C, H, W)``.
            softmax_maps (Tensor): ``W' f``, ``(B, C, H, W)``.
            target (Tensor): ``(B, C)``, 1 for the classes of an image; soft
                labels weigh the classes. Maps of absent classes and images
                without a class count nothing.
            valid (Tensor, optional): ``(B, H, W)``, False on padding.
                Defaults to None.

        Returns:
            Tensor: Scalar.
        """
        full = torch.promote_types(maps.dtype, torch.float32)
        maps = maps.detach() if self.detach else maps
        maps = maps.to(full).flatten(2).relu()
        scores = softmax_maps.to(full).flatten(2)
        count: Any = maps.shape[2]
        if valid is not None:
            valid = valid.bool().flatten(1).unsqueeze(1)  # (B, 1, H * W)
            maps = maps.masked_fill(~valid, 0)
            count = valid.sum(2, keepdim=True)
        maps = maps / (maps.amax(2, keepdim=True) + _EPS)
        with no_autocast(maps):  # (B, classes pooled under, classes scored)
            logits = torch.einsum('bcn,bkn->bck', maps, scores) / count
        error = logits.logsumexp(2) - logits.diagonal(dim1=1, dim2=2)
        share = target / target.sum(1, keepdim=True).clamp(min=_EPS)
        return self.loss_weight * (error * share).sum(1).mean()
