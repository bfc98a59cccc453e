# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ..utils import check_choice


@MODELS.register_module()
class GraphDropout(BaseModule):
    """Damp the strongest positions of a node, so that others are learnt.

    With ``A`` the mean of a node over its channels: a drop mask
    ``D = [A < drop_threshold * max(A)]`` and an importance map
    ``I = sigmoid(A)``. A coin with probability ``drop_prob`` chooses
    ``S = D``, else ``S = I``; the output is ``(h S + h) / 2``, so a dropped
    position is halved and not zeroed. Equation 6 of docs/method.md
    A.3 (Group-Wise Semantic Mining, AAAI 2021; the idea is the
    attention-based dropout layer of CVPR 2019). Where ``max(A)`` is negative
    the threshold lies above it, and nothing is dropped.

    Two settings were published: 0.8 / 0.7, and until April 2021 0.95 / 0.9.

    It has no parameters and fits any width, so it can also be the ``neck``
    of an mmseg segmentor: of a tuple of maps only the last one is changed.

    Args:
        drop_prob (float): Chance of the drop mask, in [0, 1]. Defaults to
            0.8.
        drop_threshold (float): Share of the maximum from which a position is
            dropped, in [0, 1]. Defaults to 0.7.
        coin (str): ``'call'`` throws one coin per call, ``'sample'`` one for
            every node, as released. Defaults to ``'call'``.
        active_in_eval (bool): Act in eval mode too, as the released code
            does. The output is then random. Defaults to False.
    """

    def __init__(self,
                 drop_prob: float = 0.8,
                 drop_threshold: float = 0.7,
                 coin: str = 'call',
                 active_in_eval: bool = False) -> None:
        super().__init__()
        shares = dict(drop_prob=drop_prob, drop_threshold=drop_threshold)
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise InputError(
                    f'{name} of GraphDropout is {value}, must be in [0, 1]')
        check_choice('GraphDropout', 'coin', coin, ('call', 'sample'))
        self.drop_prob = drop_prob
        self.drop_threshold = drop_threshold
        self.coin = coin
        self.active_in_eval = active_in_eval

    def forward(self, nodes: Any, valid: Optional[Tensor] = None) -> Any:
        """Identity in eval mode, unless ``active_in_eval``.

        Args:
            nodes (Tensor | Sequence[Tensor]): Node states ``(B, C, H, W)``,
                or stage maps of which the last one is changed.
            valid (Tensor, optional): ``(B, H, W)``, False on padding, which
                must not decide the maximum. Defaults to None.

        Returns:
            Tensor | tuple[Tensor]: Same shapes as the input.
        """
        if not (self.training or self.active_in_eval):
            return nodes
        if isinstance(nodes, Tensor):
            return self._drop(nodes, valid)
        return (*nodes[:-1], self._drop(nodes[-1], valid))

    def _drop(self, nodes: Tensor, valid: Optional[Tensor]) -> Tensor:
        attention = nodes.mean(1, keepdim=True)
        seen = attention
        if valid is not None:
            seen = seen.masked_fill(~valid.bool().unsqueeze(1), -torch.inf)
        peak = seen.amax((2, 3), keepdim=True)
        mask = (attention < self.drop_threshold * peak).to(nodes.dtype)
        size = 1 if self.coin == 'call' else nodes.shape[0]
        # stays on the device: no synchronisation, no graph break
        coin = torch.rand((size, 1, 1, 1), device=nodes.device)
        select = torch.where(coin < self.drop_prob, mask,
                             torch.sigmoid(attention))
        return nodes * ((select + 1) / 2)
