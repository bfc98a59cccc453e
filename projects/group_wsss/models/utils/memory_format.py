# Copyright (c) group_wsss contributors. All rights reserved.
import torch
from torch import nn


def to_channels_last(module: nn.Module) -> None:
    """Lay weights of convolutions out with channels last, and with them maps.

    Unlike ``module.to(memory_format=...)`` it leaves 1x1 kernels alone, which
    are the same either way: their gradients would have other strides, of
    which ``DistributedDataParallel`` warns.

    Args:
        module (nn.Module): Changed in place.
    """
    for weight in module.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(
                memory_format=torch.channels_last)
