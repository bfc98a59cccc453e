# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Sequence

import torch.nn as nn
from mmpretrain.models.backbones import VGG

from ...registry import MODELS


@MODELS.register_module()
class VGGOS8(VGG):
    """VGG with output stride 8, as in the released code.

    The fourth pooling is 3x3 with stride 1, the fifth is removed, the fifth
    stage has dilation 2 (docs/method.md). Parameters have the
    same names as in ``mmpretrain.VGG``, so its checkpoints load.

    Args:
        depth (int): 11, 13, 16 or 19. Defaults to 16.
        dilations (Sequence[int]): Dilation of each of the five stages.
            Defaults to (1, 1, 1, 1, 2).
        **kwargs: Further arguments of ``mmpretrain.VGG``.
    """

    def __init__(self,
                 depth: int = 16,
                 dilations: Sequence[int] = (1, 1, 1, 1, 2),
                 **kwargs) -> None:
        super().__init__(
            depth, dilations=dilations, with_last_pool=False, **kwargs)
        assert len(self.range_sub_modules) == 5, 'VGGOS8 has five stages'
        # the pooling is the last layer of its stage
        fourth_pool = self.range_sub_modules[3][1] - 1
        self.features[fourth_pool] = nn.MaxPool2d(3, stride=1, padding=1)
