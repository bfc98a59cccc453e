# Copyright (c) group_wsss contributors. All rights reserved.
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint

from ...registry import HOOKS
from ...utils.checkpoint import load_weights, use_safe_loading


@HOOKS.register_module()
class SafeLoadingHook(Hook):
    """Read checkpoints without running code that they carry.

    When a run is resumed or tested, a checkpoint that does not fit the model
    is refused, see :func:`~group_wsss.utils.checkpoint.load_weights`; what a
    training only begins with may leave weights out.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        # mmengine's FlexibleRunner loads before any hook is called
        use_safe_loading()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse a checkpoint that does not fit.

        Raises:
            InputError: One line with the first weight that does not fit.
        """
        # a test builds no optimizer
        testing = not hasattr(runner.optim_wrapper, 'step')
        if testing or runner.cfg.get('resume', False):
            name = runner.cfg.get('load_from', None)
            name = name or find_latest_checkpoint(runner.work_dir)
            load_weights(runner.model, checkpoint, str(name))
