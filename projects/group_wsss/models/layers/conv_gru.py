# Copyright (c) group_wsss contributors. All rights reserved.
from typing import List, Optional, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError


@MODELS.register_module()
class ConvGRU(BaseModule):
    """Convolutional gated recurrent unit, the update of a graph node.

    ``z = s(W_z [m, h])``, ``r = s(W_r [m, h])``, ``c = tanh(W_c [m, r h])``,
    ``h' = (1 - z) h + z c`` with the logistic function ``s``. Equation 5 of
    docs/method.md. ``c`` lies in (-1, 1), so every update pulls
    the state there; this matters where the state is a map of logits.

    Args:
        channels (int): Channels of state and message.
        kernel_size (int): Odd size of the three kernels. Defaults to 1.
        bias (bool): Whether the convolutions have a bias. Defaults to True.
        init_cfg (dict, optional): Initialization config. Defaults to None.
    """

    def __init__(self,
                 channels: int,
                 kernel_size: int = 1,
                 bias: bool = True,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise InputError(f'kernel_size of ConvGRU is {kernel_size}, must '
                             'be odd and positive')
        args = (2 * channels, channels, kernel_size, 1, kernel_size // 2)
        self.update_gate = nn.Conv2d(*args, bias=bias)
        self.reset_gate = nn.Conv2d(*args, bias=bias)
        self.candidate = nn.Conv2d(*args, bias=bias)

    def forward(self, message: Tensor, state: Tensor) -> Tensor:
        """The next state.

        Args:
            message (Tensor): Aggregated message m, ``(B, C, H, W)``.
            state (Tensor): Node state h, ``(B, C, H, W)``.

        Returns:
            Tensor: Node state after the update, ``(B, C, H, W)``.
        """
        message = message.to(state.dtype)
        width = state.shape[1]
        convs = (self.update_gate, self.reset_gate, self.candidate)
        # split the kernels, so that message and state need not be put side
        # by side: autograd would keep both copies
        heard = self._conv(message, [c.weight[:, :width] for c in convs],
                           [c.bias for c in convs if c.bias is not None])
        own = self._conv(state, [c.weight[:, width:] for c in convs[:2]])
        update, reset = torch.sigmoid(heard[:, :2 * width] + own).chunk(2, 1)
        own = self._conv(reset * state, [self.candidate.weight[:, width:]])
        candidate = torch.tanh(heard[:, 2 * width:] + own)
        # half precision ends here, if the state is full
        candidate, update = [t.to(state.dtype) for t in (candidate, update)]
        return torch.lerp(state, candidate, update)

    def _conv(self,
              x: Tensor,
              weights: List[Tensor],
              biases: Sequence[Tensor] = ()) -> Tensor:
        """Several convolutions of one input as one."""
        bias = torch.cat(list(biases)) if biases else None
        padding = self.update_gate.padding
        return F.conv2d(x, torch.cat(weights), bias, padding=padding)
