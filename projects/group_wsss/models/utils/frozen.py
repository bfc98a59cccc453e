# Copyright (c) group_wsss contributors. All rights reserved.
from contextlib import nullcontext
from typing import Any, TypeVar

import torch
from mmengine.model import BaseModule

T = TypeVar('T', bound='FrozenBackbone')


class FrozenBackbone(BaseModule):
    """Model that may keep its ``backbone`` as it is.

    In front of the other bases, and without parameters of its own.
    """

    backbone: Any
    freeze_backbone = False

    def set_frozen(self, frozen: bool) -> None:
        """Keep the backbone without gradients and in eval mode, or let it be.

        Args:
            frozen (bool): Whether to keep it.
        """
        self.freeze_backbone = frozen
        if frozen:
            self.backbone.requires_grad_(False)
            self.backbone.eval()

    def train(self: T, mode: bool = True) -> T:
        """Set train mode; a frozen backbone stays in eval mode."""
        super().train(mode)
        if self.freeze_backbone:
            self.backbone.eval()
        return self

    def run_backbone(self, inputs: torch.Tensor) -> Any:
        """What the backbone gives, without a graph of gradients if frozen.

        Args:
            inputs (Tensor): ``(B, 3, H, W)``.

        Returns:
            Any: As the backbone gives it.
        """
        with torch.no_grad() if self.freeze_backbone else nullcontext():
            return self.backbone(inputs)
