# Copyright (c) group_wsss contributors. All rights reserved.
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .attention_accumulation_hook import AttentionAccumulationHook
from .class_map_visualization_hook import ClassMapVisualizationHook
from .epoch_summary_hook import EpochSummaryHook
from .group_check_hook import GroupCheckHook
from .group_resume_hook import GroupResumeHook
from .non_finite_hook import NonFiniteHook
from .preemption_hook import PREEMPTED, PreemptionHook
from .pseudo_label_hook import PseudoLabelHook
from .random_state_hook import RandomStateHook
from .rank_watch_hook import RankWatchHook
from .run_summary_hook import RunSummaryHook
from .skipped_images_hook import SkippedImagesHook
from .validation_resume_hook import ValidationResumeHook
from .weak_supervision_hook import WeakSupervisionHook

__all__ = [
    'AtomicCheckpointHook', 'AttentionAccumulationHook',
    'ClassMapVisualizationHook', 'EpochSummaryHook', 'GroupCheckHook',
    'GroupResumeHook', 'NonFiniteHook', 'PREEMPTED', 'PreemptionHook',
    'PseudoLabelHook', 'RandomStateHook', 'RankWatchHook', 'RunSummaryHook',
    'SkippedImagesHook', 'ValidationResumeHook', 'WeakSupervisionHook'
]
