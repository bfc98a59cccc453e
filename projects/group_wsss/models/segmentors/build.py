# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any

from torch import nn

from ...registry import MODELS


@MODELS.register_module(name='WeakEncoderDecoder')
def build_weak_encoder_decoder(**kwargs: Any) -> nn.Module:
    """Build a ``WeakEncoderDecoder``.

    Registered in place of the class: its base imports all models of mmseg,
    which stage 1 does not need and which want compiled operators in stock
    mmcv.

    Args:
        kwargs: Arguments of ``WeakEncoderDecoder``.

    Returns:
        nn.Module: The segmentor.
    """
    from .weak_encoder_decoder import WeakEncoderDecoder
    return WeakEncoderDecoder(**kwargs)
