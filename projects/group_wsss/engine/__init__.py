# Copyright (c) group_wsss contributors. All rights reserved.
"""When: hooks of mmengine's standard loops."""
from .hooks import (AttentionAccumulationHook, GroupCheckHook, PseudoLabelHook,
                    WeakSupervisionHook)

__all__ = [
    'AttentionAccumulationHook', 'GroupCheckHook', 'PseudoLabelHook',
    'WeakSupervisionHook'
]
