# Copyright (c) group_wsss contributors. All rights reserved.
from .attention_accumulation_hook import AttentionAccumulationHook
from .pseudo_label_hook import PseudoLabelHook
from .safe_loading_hook import SafeLoadingHook
from .token_bank_hook import TokenBankHook
from .weak_supervision_hook import WeakSupervisionHook

__all__ = [
    'AttentionAccumulationHook', 'PseudoLabelHook', 'SafeLoadingHook',
    'TokenBankHook', 'WeakSupervisionHook'
]
