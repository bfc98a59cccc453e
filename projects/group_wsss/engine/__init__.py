# Copyright (c) group_wsss contributors. All rights reserved.
"""When: hooks of mmengine's standard loops."""
from .hooks import (AttentionAccumulationHook, PseudoLabelHook, TokenBankHook,
                    WeakSupervisionHook)
from .loops import TTATestLoop
from .optimizers.bfloat16_optim_wrapper import BFloat16OptimWrapper
from .runner.num_classes import settle_num_classes

__all__ = [
    'AttentionAccumulationHook',
    'BFloat16OptimWrapper',
    'PseudoLabelHook',
    'TTATestLoop',
    'TokenBankHook',
    'WeakSupervisionHook',
    'settle_num_classes',
]
