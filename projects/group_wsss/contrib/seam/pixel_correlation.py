# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...models.layers.pca_whitening import no_autocast
from ...registry import MODELS
from ...utils.errors import InputError

# keeps lengths and sums above zero
_EPS = 1e-5


@MODELS.register_module()
class PixelCorrelation(BaseModule):
    """Maps averaged over the positions of an image that look alike.

    ``y_j = sum_i x_i a_ij / sum_i a_ij`` with ``a_ij = ReLU(cos(e_i, e_j))``
    of embeddings ``e`` of the features; no gradient reaches the features.
    Source: the pixel correlation module of SEAM (Wang et al., CVPR 2020),
    which embeds shallow features and the image; here it is one map.

    Args:
        in_channels (int, optional): Channels of the features. Defaults to
            None, which will do without an embedding.
        embed_channels (int, optional): Width of the embedding, a learned 1x1
            convolution without bias. Defaults to None: the features
            themselves are compared, and nothing is learned.

    Raises:
        InputError: If there is an embedding without ``in_channels``.
    """

    def __init__(self,
                 in_channels: Optional[int] = None,
                 embed_channels: Optional[int] = None) -> None:
        super().__init__()
        self.embed = None
        if embed_channels is not None:
            if in_channels is None or min(in_channels, embed_channels) < 1:
                raise InputError(
                    'PixelCorrelation with embed_channels needs in_channels, '
                    f'both >= 1, got {embed_channels} and {in_channels}')
            self.embed = nn.Conv2d(in_channels, embed_channels, 1, bias=False)

    def forward(self, maps: Tensor, feat: Tensor) -> Tensor:
        """Average, in full precision also under autocast.

        Args:
            maps (Tensor): ``(B, M, H, W)``.
            feat (Tensor): ``(B, in_channels, H, W)``.

        Returns:
            Tensor: ``(B, M, H, W)``.
        """
        full = torch.promote_types(maps.dtype, torch.float32)
        with no_autocast(maps):
            embedded = feat.detach().to(full)
            if self.embed is not None:
                embedded = self.embed(embedded)
            embedded = F.normalize(embedded.flatten(2), dim=1, eps=_EPS)
            alike = torch.einsum('bdi,bdj->bij', embedded, embedded).relu()
            alike = alike / (alike.sum(1, keepdim=True) + _EPS)
            out = torch.einsum('bmi,bij->bmj', maps.to(full).flatten(2), alike)
        return out.view_as(maps)
