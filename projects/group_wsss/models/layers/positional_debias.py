# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from .pca_whitening import no_autocast


@MODELS.register_module()
class PositionalDebias(BaseModule):
    """Take out of features what tells where a position is.

    Features of a vision transformer tell the place in the image as well as
    what is there, so that the upper left corners of two images are alike. An
    image of one colour has nothing but places: its features of length 1,
    less their mean, span the directions ``U`` (left singular vectors) that
    are taken out, ``y = x - U U^T x``. Inside one image places help; this is
    for keys between images. Source: INSID3, from the equations, which takes
    out 500 of 1024 directions.

    As ``debias`` of ``CoAttention`` it reads the map of the backbone of a
    ``GroupCAM``, which shows it that image, all zeros, at the first training
    step. The directions lie in the checkpoint.

    Args:
        in_channels (int): Channels of the features, ``C``.
        rank (int, optional): The most directions that are taken out, the
            strongest; fewer where an image of one colour has fewer. Defaults
            to None, half of the channels.

    Raises:
        InputError: If ``rank`` is not within ``1..in_channels - 1``.
    """

    fitted: Tensor
    basis: Tensor

    def __init__(self, in_channels: int, rank: Optional[int] = None) -> None:
        super().__init__()
        rank = in_channels // 2 if rank is None else rank
        if not 1 <= rank < in_channels:
            raise InputError(f'rank of PositionalDebias is {rank}, must be '
                             f'within 1..{in_channels - 1}')
        self.rank = rank
        self.register_buffer('fitted', torch.zeros((), dtype=torch.bool))
        self.register_buffer('basis', torch.zeros(in_channels, rank))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take the directions of an image of one colour.

        Args:
            features (Tensor): Its map, ``(1, C, H, W)``.
        """
        rows = F.normalize(features[0].flatten(1).double(), dim=0)
        rows = rows - rows.mean(1, keepdim=True)
        vectors, values, _ = torch.linalg.svd(rows, full_matrices=False)
        # what is left to rounding has no direction of its own
        found = vectors[:, values > 1e-5 * max(float(values[0]), 1.0)]
        found = found[:, :self.rank]
        self.basis.zero_()
        self.basis[:, :found.shape[1]] = found
        self.fitted.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """Take the directions out.

        Args:
            x (Tensor): ``(B, C, H, W)``.

        Returns:
            Tensor: The same shape.

        Raises:
            InputError: There are no directions yet.
        """
        if not self.fitted:
            raise InputError('PositionalDebias has seen no image of one '
                             'colour: it needs a training of GroupCAM, or its '
                             'checkpoint')
        with no_autocast(x):
            full = torch.promote_types(x.dtype, torch.float32)
            basis = self.basis.to(full)
            wide = x.to(full)
            share = torch.einsum('cr,bchw->brhw', basis, wide)
            out = wide - torch.einsum('cr,brhw->bchw', basis, share)
        return out.to(x.dtype)
