# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional

import torch
import torch.nn as nn
from torch import Tensor

from ...registry import MODELS
from .pca_whitening import PCAWhitening


@MODELS.register_module()
class ContrastKeys(PCAWhitening):
    """Keys of co-attention that learn by contrast between images.

    A linear projection that starts as ``PCAWhitening``: for ``begin``
    training steps it is that. From then on its statistics stand still and its
    weight is a parameter, trained by what :meth:`embed` gives to
    ``SeedContrast`` alone: the classification loss does not reach it, and
    the features do not feel it.

    The optimizer should move it slowly, for example with Adam at 1e-3:
    ``paramwise_cfg=dict(custom_keys={'coattention.whiten':
    dict(lr_mult=0.1)})`` beside a learning rate of 0.01.

    Args:
        in_channels (int): Channels of the input, ``C``.
        out_channels (int): Channels of the output. Defaults to 64.
        begin (int): Training steps after which the weight learns, when class
            maps mean something. Defaults to 50.
        **kwargs: ``momentum``, ``eps`` and ``init_cfg`` of ``PCAWhitening``.
    """

    steps: Tensor

    def __init__(self,
                 in_channels: int,
                 out_channels: int = 64,
                 begin: int = 50,
                 **kwargs: Any) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        self.begin = begin
        del self.weight  # a buffer there
        self.weight: Tensor = nn.Parameter(
            torch.eye(out_channels, in_channels))
        self.register_buffer('steps', torch.zeros((), dtype=torch.int64))

    def learns(self) -> bool:
        """Tell whether the weight has begun to learn."""
        return self._number('steps') >= self.begin

    def update(self, x: Tensor, valid: Optional[Tensor] = None) -> None:
        """Take positions into the statistics, until the weight learns.

        Args:
            x (Tensor): ``(B, C, H, W)``.
            valid (Tensor, optional): ``(B, H, W)``, False on padding.
        """
        if not self.learns():
            super().update(x, valid)

    def embed(self, x: Tensor) -> Tensor:
        """Project, with a gradient for the weight alone.

        Called once in a training step, which it counts.

        Args:
            x (Tensor): ``(B, C, H, W)``.

        Returns:
            Tensor: ``(B, D, H, W)``, float32 or float64. Before ``begin``
            steps its gradient is zero.
        """
        learns = self.learns()
        self.steps += 1
        self._known['steps'] += 1
        if not learns and self.learns() and self.fitted != self.count:
            self.fit()  # the last of the statistics
        weight = self.weight
        if not learns:
            weight = weight.detach() + 0 * weight
        return self._project(x.detach(), weight)
