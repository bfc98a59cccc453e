# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Iterator

from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from ...datasets import GroupBatchSampler
from ...registry import HOOKS


class _Advanced:
    """An iterator that is already where its loop will want it.

    Args:
        iterator (Iterator): Of the dataloader.
        steps (int): Calls of ``next`` that the loop makes to get there.
    """

    def __init__(self, iterator: Iterator, steps: int) -> None:
        self._iterator = iterator
        self._steps = steps

    def __iter__(self) -> '_Advanced':
        return self

    def __next__(self) -> Any:
        if self._steps:
            self._steps -= 1
            return None
        return next(self._iterator)

    def skip_iter(self, num_iters: int) -> None:
        """What a newer loop calls instead of ``next``: nothing is left."""


@HOOKS.register_module()
class GroupResumeHook(Hook):
    """A resumed run goes on at once, with the groups that come next.

    mmengine's ``IterBasedTrainLoop`` reads the batches of all iterations
    that were trained before and throws them away. Groups follow from seed
    and position alone: :meth:`GroupBatchSampler.skip` goes there, and no
    photograph is read for it.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Move the sampler to the iteration of the checkpoint."""
        loop, steps = runner.train_loop, runner.iter
        if not isinstance(loop, IterBasedTrainLoop) or steps == 0:
            return
        sampler = getattr(loop.dataloader, 'batch_sampler', None)
        if not (isinstance(sampler, GroupBatchSampler)
                and isinstance(sampler.sampler, InfiniteSampler)):
            return
        if getattr(loop, 'fast_forward_on_resume', False):
            return  # the config asks to start the stream again
        sampler.skip(steps)
        # workers may have read ahead at the old position
        fresh = type(loop.dataloader_iterator)(loop.dataloader)
        newer = hasattr(fresh, 'skip_iter')
        loop.dataloader_iterator = _Advanced(fresh, 0 if newer else steps)
