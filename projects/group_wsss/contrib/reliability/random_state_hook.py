# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Callable, Dict, Optional

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import get_worker_info

from ...engine.supervision import RANDOM_STATE
from ...engine.utils import batches_done, is_resumed
from ...registry import HOOKS
from .random_state import State, from_tensors, get_state, set_state, to_tensors


class _WithState:
    """A collate function that tells where the worker's generators are."""

    def __init__(self, inner: Callable) -> None:
        self.inner = inner

    def __call__(self, items: Any) -> Any:
        batch = self.inner(items)
        worker = get_worker_info()
        if worker is not None and type(batch) is dict:
            batch[RANDOM_STATE] = (worker.id, get_state())
        return batch


class _WorkerStart:
    """A worker init function that goes on where a worker stopped.

    Workers take turns, so after ``n`` batches it is the turn of worker
    ``n % num_workers``: it becomes the first of the new ones.
    """

    def __init__(self, inner: Optional[Callable], num_workers: int) -> None:
        self.inner = inner
        self.num_workers = num_workers
        self.shift = 0
        # by the number that the worker had in the uninterrupted run
        self.states: Dict[int, State] = {}

    def number(self, worker_id: int) -> int:
        """Number in the uninterrupted run."""
        return (worker_id + self.shift) % self.num_workers

    def __call__(self, worker_id: int) -> None:
        number = self.number(worker_id)
        if self.inner is not None:
            self.inner(number)
        if number in self.states:
            set_state(self.states[number])


@HOOKS.register_module()
class RandomStateHook(Hook):
    """A resumed run draws the random numbers of an uninterrupted one.

    mmengine starts its generators anew when it resumes: dropout and
    augmentations differ from then on. This hook keeps their states in the
    checkpoint, of all processes and of the workers of the train loader, under
    ``random_state``, as tensors. It changes no number that an uninterrupted
    run draws.

    - A worker's state comes with every batch (15 kB); what workers have read
      ahead does not count.
    - Validation leaves the generators as they were, so that it does not
      matter whether it was interrupted.
    - Batches have to be dicts, and of an iteration-based loop the sampler
      endless; otherwise augmentations in workers start anew.
    - With another number of processes or workers the states are of no use:
      the log tells.
    """

    # the worker's state leaves the batch before any hook sees it
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._start: Optional[_WorkerStart] = None
        self._resumed: Optional[dict] = None
        self._collected: Optional[list] = None
        self._before_val: Optional[State] = None
        self._private = False
        # whether workers of this process live that outlive an epoch
        self._begun = False

    # ---- checkpoints ---------------------------------------------------
    def _own(self) -> dict:
        """State that this process would need to go on."""
        workers = {} if self._start is None else dict(self._start.states)
        if self._resumed is not None:  # nothing was trained since
            main = self._resumed['main']
        elif self._before_val is not None:
            main = self._before_val
        else:
            main = get_state()
        return dict(main=main, workers=workers)

    def before_checkpoint(self, runner: Runner) -> None:
        """Gather the states; ``AtomicCheckpointHook`` calls all processes."""
        self._collected = all_gather_object(self._own())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the states into the checkpoint.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): Gets ``random_state``, a list with a dict of
                tensors for each process.
        """
        if self._collected is None and get_world_size() == 1:
            self._collected = [self._own()]
        if self._collected is None:
            return
        checkpoint['random_state'] = [
            dict(
                num_workers=self._start.num_workers if self._start else 0,
                main=to_tensors(own['main']),
                workers={
                    number: to_tensors(state)
                    for number, state in own['workers'].items()
                }) for own in self._collected
        ]
        self._collected = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember the states until training goes on.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): May have ``random_state``.
        """
        states = checkpoint.get('random_state')
        if not is_resumed(runner) or not states:
            return
        if len(states) != get_world_size():
            runner.logger.warning(
                f'the checkpoint is of {len(states)} processes, not of '
                f'{get_world_size()}: random numbers start anew')
            return
        own = states[get_rank()]
        self._resumed = dict(
            num_workers=own['num_workers'],
            main=from_tensors(own['main']),
            workers={
                number: from_tensors(state)
                for number, state in own['workers'].items()
            })

    # ---- training ------------------------------------------------------
    def before_train(self, runner: Runner) -> None:
        """Listen to the workers, and let them go on."""
        loader = runner.train_loop.dataloader
        self._start, self._begun = None, False
        if not loader.num_workers:
            return
        start = _WorkerStart(loader.worker_init_fn, loader.num_workers)
        loader.collate_fn = _WithState(loader.collate_fn)
        loader.worker_init_fn = self._start = start
        if self._resumed is None:
            return
        if self._resumed['num_workers'] != loader.num_workers:
            runner.logger.warning(
                f'the checkpoint is of {self._resumed["num_workers"]} '
                f'workers, not of {loader.num_workers}: augmentations start '
                'anew')
            return
        start.shift = batches_done(runner) % loader.num_workers
        start.states = self._resumed['workers']

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the generators of this process; forget workers that ended."""
        loop = runner.train_loop
        loader = loop.dataloader
        resumed, self._resumed = self._resumed, None
        middle = resumed is not None and (isinstance(loop, IterBasedTrainLoop)
                                          or batches_done(runner) > 0)
        if self._start is not None and not middle:
            self._start.shift = 0
            if not loader.persistent_workers:
                self._start.states = {}
        # a DataLoader that starts draws a number; in the uninterrupted run
        # this one has started long ago
        if middle or (loader.persistent_workers and runner.epoch > 0
                      and not self._begun):
            loader.generator = torch.Generator()
            self._private = True
        self._begun = loader.persistent_workers
        if resumed is not None:
            set_state(resumed['main'])

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Take the worker's state out of the batch.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Index of the batch in its loop.
            data_batch (Any): A batch.
        """
        if self._private:
            runner.train_loop.dataloader.generator = None
            self._private = False
        if self._start is not None and type(data_batch) is dict:
            worker_id, state = data_batch.pop(RANDOM_STATE, (None, None))
            if state is not None:
                self._start.states[self._start.number(worker_id)] = state

    # ---- validation ----------------------------------------------------
    def before_val(self, runner: Runner) -> None:
        """Remember where training was."""
        self._before_val = get_state()
        # one process may have to save alone, see PreemptionHook
        self._collected = all_gather_object(self._own())

    def after_val(self, runner: Runner) -> None:
        """Go back there."""
        if self._before_val is not None:
            set_state(self._before_val)
        self._before_val = self._collected = None
