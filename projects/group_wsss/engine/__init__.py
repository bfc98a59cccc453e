# Copyright (c) group_wsss contributors. All rights reserved.
"""When: hooks of mmengine's standard loops."""
from .atomic_backend import AtomicBackend, use_atomic_writes
from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .hooks import (PREEMPTED, AtomicCheckpointHook, AttentionAccumulationHook,
                    ClassMapVisualizationHook, EpochSummaryHook,
                    GroupCheckHook, GroupResumeHook, NonFiniteHook,
                    PreemptionHook, PseudoLabelHook, RandomStateHook,
                    RankWatchHook, RunSummaryHook, SkippedImagesHook,
                    ValidationResumeHook, WeakSupervisionHook)
from .loops import TTATestLoop
from .num_classes import settle_num_classes
from .resume_hooks import add_resume_hooks
from .summary_hooks import add_summary_hooks

__all__ = [
    'AtomicBackend', 'AtomicCheckpointHook', 'AttentionAccumulationHook',
    'BFloat16OptimWrapper', 'ClassMapVisualizationHook', 'EpochSummaryHook',
    'GroupCheckHook', 'GroupResumeHook', 'NonFiniteHook', 'PREEMPTED',
    'PreemptionHook', 'PseudoLabelHook', 'RandomStateHook', 'RankWatchHook',
    'RunSummaryHook', 'SkippedImagesHook', 'TTATestLoop',
    'ValidationResumeHook', 'WeakSupervisionHook', 'add_resume_hooks',
    'add_summary_hooks', 'settle_num_classes', 'use_atomic_writes'
]
