# Copyright (c) group_wsss contributors. All rights reserved.
"""Hooks for people in every training by ``tools/train.py``."""
from mmengine.runner import Runner

from .epoch_summary_hook import EpochSummaryHook
from .run_summary_hook import RunSummaryHook


def add_summary_hooks(runner: Runner) -> None:
    """Give a runner the hooks for people that its config does not name.

    Configs of mmseg and mmpretrain stay as they are.

    Args:
        runner (Runner): Before training.
    """
    for kind in (EpochSummaryHook, RunSummaryHook):
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())
