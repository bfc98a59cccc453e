# Copyright (c) group_wsss contributors. All rights reserved.
from typing import List, Optional

import torch.nn as nn
from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS


@MODELS.register_module()
class Projection(BaseModule):
    """From the map of a backbone to the map that graph and classifier read.

    3x3 convolutions with ReLU, three of 512 channels in the released code of
    Group-WSSS. With ``num_classes`` a 1x1 classifier follows: the nodes of
    the graph are then class maps (logit nodes), as released.

    Args:
        in_channels (int): Channels of the backbone's map.
        num_convs (int): Number of 3x3 convolutions. Defaults to 3.
        channels (int): Their width. Defaults to 512.
        num_classes (int, optional): Classes of the 1x1 classifier. Defaults
            to None, no classifier: the nodes are features.
        bias (bool): Bias of the classifier. Defaults to True.
        init_cfg (dict | list[dict], optional): Defaults to None: Kaiming for
            3x3, normal with standard deviation 0.01 for the classifier.
    """

    def __init__(self,
                 in_channels: int,
                 num_convs: int = 3,
                 channels: int = 512,
                 num_classes: Optional[int] = None,
                 bias: bool = True,
                 init_cfg: Optional[dict] = None) -> None:
        if init_cfg is None:
            init_cfg = dict(type='Kaiming', layer='Conv2d')
            if num_classes is not None:
                init_cfg['override'] = dict(
                    type='Normal', name='classifier', std=0.01)
        super().__init__(init_cfg=init_cfg)
        layers: List[nn.Module] = []
        width = in_channels
        for _ in range(num_convs):
            layers += [nn.Conv2d(width, channels, 3, padding=1)]
            layers += [nn.ReLU(inplace=True)]
            width = channels
        self.convs = nn.Sequential(*layers)
        self.classifier: nn.Module = nn.Identity()
        if num_classes is not None:
            self.classifier = nn.Conv2d(width, num_classes, 1, bias=bias)
            width = num_classes
        self.out_channels = width

    def forward(self, feat: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``."""
        return self.classifier(self.convs(feat))
