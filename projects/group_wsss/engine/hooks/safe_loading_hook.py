# Copyright (c) group_wsss contributors. All rights reserved.
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner, find_latest_checkpoint

from ...registry import HOOKS
from ...utils.checkpoint import load_weights, use_safe_loading
from ..utils import is_resumed


@HOOKS.register_module()
class SafeLoadingHook(Hook):
    """Read checkpoints without running code, and see that they fit.

    From the time it is built on, mmengine reads files and addresses by
    ``group_wsss.utils.checkpoint``, which runs no code that they carry. A
    run that is resumed, validated or tested needs every weight from its
    checkpoint: where mmengine would warn and go on with random ones, this
    hook stops. ``load_from`` of a training may fit in part.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        # not in before_run, before which FlexibleRunner has loaded already
        use_safe_loading()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Fill the model again, with every weight from the checkpoint.

        Args:
            runner (Runner): With the model.
            checkpoint (dict): What was read.

        Raises:
            InputError: The first weight that is missing or does not fit.
        """
        trains = isinstance(runner.optim_wrapper,
                            (OptimWrapper, OptimWrapperDict))
        if trains and not is_resumed(runner):
            return
        name = (
            runner.cfg.get('load_from', None)
            or find_latest_checkpoint(runner.work_dir))
        load_weights(runner.model, checkpoint, str(name))
