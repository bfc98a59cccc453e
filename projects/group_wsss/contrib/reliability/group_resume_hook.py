# Copyright (c) group_wsss contributors. All rights reserved.
from itertools import islice
from typing import Any, Iterator, List, Optional

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import BatchSampler, DataLoader

from ...datasets import GroupBatchSampler
from ...datasets.samplers.group_batch_sampler import indices_from_start
from ...engine.utils import batches_done
from ...registry import HOOKS
from .private import drop_workers, has_started_workers


class _Advanced:
    """An iterator that is where its loop gets by so many calls of next."""

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
        """Do nothing; a newer loop calls this instead of ``next``."""


class _Rest:
    """The batches of an epoch without those that were trained."""

    def __init__(self, batch_sampler: BatchSampler, done: int) -> None:
        self.batch_sampler = batch_sampler
        self.done = done
        # DistSamplerSeedHook tells it the epoch
        self.sampler = batch_sampler.sampler
        self.batch_size = batch_sampler.batch_size
        self.drop_last = batch_sampler.drop_last

    def __iter__(self) -> Iterator[List[int]]:
        return islice(iter(self.batch_sampler), self.done, None)

    def __len__(self) -> int:
        return len(self.batch_sampler) - self.done


@HOOKS.register_module()
class GroupResumeHook(Hook):
    """A resumed run goes on at once, with the groups that come next.

    Groups, and the batches of an ordinary sampler, follow from seed and
    position alone, so no image is read again to get there.

    - ``IterBasedTrainLoop``: older mmengine reads the batches of all
      iterations that were trained before and throws them away. The sampler
      is moved instead. Its workers, which start before any hook can prepare
      them, are replaced.
    - ``EpochBasedTrainLoop``: mmengine begins the epoch again. A checkpoint
      from the middle of one, as ``PreemptionHook`` saves it, goes on there;
      the log counts the batches that are left.
    """

    # after RandomStateHook has prepared the DataLoader
    priority = 'HIGH'

    def __init__(self) -> None:
        self._whole: Optional[DataLoader] = None

    def before_train(self, runner: Runner) -> None:
        """Move the sampler to the place of the checkpoint."""
        loop, done = runner.train_loop, batches_done(runner)
        if isinstance(loop, IterBasedTrainLoop):
            if not getattr(loop, 'fast_forward_on_resume', False):
                self._move(loop, done)
        elif isinstance(loop, EpochBasedTrainLoop) and done > 0:
            self._whole = loop.dataloader
            loop.dataloader = _rest_of_epoch(loop.dataloader, done)

    def after_train_epoch(self, runner: Runner) -> None:
        """The next epoch is a whole one."""
        if self._whole is not None:
            runner.train_loop.dataloader = self._whole
            self._whole = None

    @staticmethod
    def _move(loop: IterBasedTrainLoop, steps: int) -> None:
        """To a batch of an endless stream."""
        loader = loop.dataloader
        batches = getattr(loader, 'batch_sampler', None)
        base = getattr(batches, 'sampler', None)
        # workers of an older loop run already, with what they were given,
        # and without what other hooks have prepared
        early = has_started_workers(loop)
        if not (steps or early):
            return
        if isinstance(base, InfiniteSampler):
            if isinstance(batches, GroupBatchSampler):
                batches.skip(steps)
            elif type(batches) is BatchSampler:
                # from the start, whatever was drawn already
                base.indices = islice(
                    indices_from_start(base), steps * batches.batch_size, None)
            else:
                return
        elif early:
            steps = 0  # a finite stream begins again, and the loop advances
        else:
            return
        kind = type(loop.dataloader_iterator)
        state = torch.get_rng_state()
        if early:
            drop_workers(loop)
        fresh = kind(loader)
        if early:  # workers of its own: that drew a number
            torch.set_rng_state(state)
        newer = hasattr(fresh, 'skip_iter')
        loop.dataloader_iterator = _Advanced(fresh, 0 if newer else steps)


def _rest_of_epoch(loader: DataLoader, done: int) -> DataLoader:
    """A DataLoader of what an epoch has left."""
    batches: Any = loader.batch_sampler
    kept = ('num_workers', 'collate_fn', 'pin_memory', 'timeout',
            'worker_init_fn', 'prefetch_factor', 'multiprocessing_context')
    return DataLoader(
        loader.dataset,
        batch_sampler=_Rest(batches, done),
        **{name: getattr(loader, name)
           for name in kept})
