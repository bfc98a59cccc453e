# Copyright (c) group_wsss contributors. All rights reserved.
"""Interruptions and broken files."""
from .atomic_backend import ATOMIC, AtomicBackend
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .group_resume_hook import GroupResumeHook
from .non_finite_hook import NonFiniteHook
from .preemption_hook import PREEMPTED, PreemptionHook
from .random_state_hook import RandomStateHook
from .skipped_images_hook import SkippedImagesHook
from .validation_resume_hook import ValidationResumeHook

__all__ = [
    'ATOMIC', 'AtomicBackend', 'AtomicCheckpointHook', 'GroupResumeHook',
    'NonFiniteHook', 'PREEMPTED', 'PreemptionHook', 'RandomStateHook',
    'SkippedImagesHook', 'ValidationResumeHook'
]
