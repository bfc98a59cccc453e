# Copyright (c) group_wsss contributors. All rights reserved.
"""The hooks that make an interrupted run go on as if nothing had been."""
from mmengine.runner import Runner

from .group_resume_hook import GroupResumeHook
from .preemption_hook import PreemptionHook
from .random_state_hook import RandomStateHook
from .validation_resume_hook import ValidationResumeHook


def add_resume_hooks(runner: Runner) -> None:
    """Register the hooks for interruptions, whatever the config is.

    Those that the config names itself, with other arguments perhaps, stay.

    Args:
        runner (Runner): About to train.
    """
    # PreemptionHook listens before the validation that may be due
    for kind in (RandomStateHook, GroupResumeHook, PreemptionHook,
                 ValidationResumeHook):
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())
