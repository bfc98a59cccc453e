# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Sequence, Tuple

from torch import Tensor

from ...models.backbones import EffNetLite0
from ...registry import MODELS


@MODELS.register_module()
class EffNetLite0Levels(EffNetLite0):
    """``EffNetLite0`` with levels for a decoder before its last map.

    The last map, of 1280 channels, is what class maps are read from; timm's
    ``features_only`` ends before it. Weights and their names are those of
    ``EffNetLite0``.

    Args:
        levels (Sequence[int]): Stages, ascending: 0 to 4 have strides 2, 4,
            8, 16 and 32 and 16, 24, 40, 112 and 320 channels. Defaults to
            (2, 3, 4).
        **kwargs: Of ``EffNetLite0``, but for ``features_only``.
    """

    def __init__(self, levels: Sequence[int] = (2, 3, 4),
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.levels = list(levels)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Give the levels, then the last map.

        Args:
            x (Tensor): ``(B, 3, H, W)``.

        Returns:
            tuple[Tensor]: Each ``(B, C, h, w)``.
        """
        last, levels = self.timm_model.forward_intermediates(
            x, indices=self.levels)
        return (*levels, last)
