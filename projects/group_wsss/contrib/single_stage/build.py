# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any

from torch import nn

from ...registry import MODELS


@MODELS.register_module(name='OnlineWeakEncoderDecoder')
def build_online_weak_encoder_decoder(**kwargs: Any) -> nn.Module:
    """Build an ``OnlineWeakEncoderDecoder``.

    Registered in place of the class, as ``WeakEncoderDecoder`` is: its base
    imports all models of mmseg.

    Args:
        kwargs: Arguments of ``OnlineWeakEncoderDecoder``.

    Returns:
        nn.Module: The segmentor.
    """
    from .online_weak_encoder_decoder import OnlineWeakEncoderDecoder
    return OnlineWeakEncoderDecoder(**kwargs)
