# Copyright (c) group_wsss contributors. All rights reserved.
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from ...engine.utils import batches_done, is_resumed
from ...registry import HOOKS


@HOOKS.register_module()
class ValidationResumeHook(Hook):
    """A validation that was interrupted is made when the run is resumed.

    The checkpoint is written before the validation that follows it; mmengine
    goes on behind that validation, so its result, and a best checkpoint,
    would be missing. A resumed run therefore begins with the validation that
    is due at the place of its checkpoint.
    """

    # CheckpointHook has to be ready for a best checkpoint
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Validate, if the uninterrupted run would do so now."""
        loop, val_loop = runner.train_loop, runner.val_loop
        if not is_resumed(runner) or val_loop is None or not runner.iter:
            return
        if isinstance(loop, IterBasedTrainLoop):
            step, last = loop.iter, loop.max_iters
        elif batches_done(runner):
            return
        else:
            step, last = loop.epoch, loop.max_epochs
        if step >= loop.val_begin and (step % loop.val_interval == 0
                                       or step == last):
            val_loop.run()
