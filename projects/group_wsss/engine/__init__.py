# Copyright (c) group_wsss contributors. All rights reserved.
"""When: hooks of mmengine's standard loops."""
from .atomic_backend import AtomicBackend, use_atomic_writes
from .hooks import (AttentionAccumulationHook, GroupCheckHook, GroupResumeHook,
                    PseudoLabelHook, WeakSupervisionHook)
from .loops import TTATestLoop
from .num_classes import settle_num_classes

__all__ = [
    'AtomicBackend', 'AttentionAccumulationHook', 'GroupCheckHook',
    'GroupResumeHook', 'PseudoLabelHook', 'TTATestLoop', 'WeakSupervisionHook',
    'settle_num_classes', 'use_atomic_writes'
]
