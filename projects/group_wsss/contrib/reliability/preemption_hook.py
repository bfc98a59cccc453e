# Copyright (c) group_wsss contributors. All rights reserved.
import os
import os.path as osp
import shlex
import signal
import sys
import time
from threading import Thread
from typing import Any, Callable, Dict, Optional, Sequence

import torch
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import distributed as dist

from ...engine.utils import saved_checkpoint
from ...registry import HOOKS
from .atomic_backend import ATOMIC
from .atomic_checkpoint_hook import name_checkpoint
from .private import is_called_by

# EX_TEMPFAIL of sysexits.h: nothing is wrong, try again
PREEMPTED = 75
# replaced by every preemption, removed by the next regular checkpoint
CHECKPOINT = 'preempted.pth'


class _DeafWorker:
    """A worker init function: the signals are for the main process.

    A batch system sends them to every process of a job, and a worker that
    dies takes the training with it. SIGTERM of the main process itself, with
    which Python ends what is left at exit, still ends a worker.
    """

    def __init__(self, inner: Optional[Callable],
                 signals: Sequence[int]) -> None:
        self.inner = inner
        self.signals = signals

    def __call__(self, worker_id: int) -> None:
        for number in self.signals:
            if number != signal.SIGTERM:
                signal.signal(number, signal.SIG_IGN)
            elif hasattr(signal, 'sigtimedwait'):  # not on macOS
                signal.pthread_sigmask(signal.SIG_BLOCK, {number})
                Thread(target=_obey_parent, daemon=True).start()
        if self.inner is not None:
            self.inner(worker_id)


def _obey_parent() -> None:
    """End this process when its parent asks or dies; ignore all others."""
    parent, sender = os.getppid(), None
    while sender != parent and os.getppid() == parent:
        # torch looks after an orphan too, but waits until somebody has read
        # what is in its queue
        found = signal.sigtimedwait({signal.SIGTERM}, 2)
        sender = found.si_pid if found is not None else None
    os._exit(0)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Save and leave when the batch system wants the machine back.

    On SIGTERM or SIGUSR1 the iteration is finished, a checkpoint is written
    (``<work_dir>/preempted.pth``, unless a regular one was just saved) and
    the process ends with status 75. Resumed, the run goes on with the sample
    that comes next, in the middle of an epoch too (``GroupResumeHook``), and
    draws the same numbers (``RandomStateHook``).

    - Several processes may get the signal at different iterations, or only
      one of them at all. They agree through an all_reduce of one number on
      the CPU (gloo), every ``interval`` iterations.
    - During validation the same is saved, and the validation made again by
      the resumed run (``ValidationResumeHook``).
    - When training is over, and label images are written, nothing is left to
      save: the process ends at once; labels of an earlier run stay, and a
      resumed run writes the new ones.
    - With gradient accumulation it is the end of a step that is waited for.

    Args:
        signals (Sequence[str]): Their names. Defaults to SIGTERM, SIGUSR1.
        interval (int): Iterations between two agreements of several
            processes; one process looks at every iteration. Defaults to 1.
    """

    # what an iteration leads to is done
    priority = 'LOWEST'

    def __init__(self,
                 signals: Sequence[str] = ('SIGTERM', 'SIGUSR1'),
                 interval: int = 1) -> None:
        assert interval >= 1, 'interval must be positive'
        self.signals = tuple(signal.Signals[name] for name in signals)
        self.interval = interval
        self.received: Optional[signal.Signals] = None
        self._old: Dict[int, Any] = {}
        self._group: Any = None
        self._trained = False
        self._runner: Any = None
        self._old_file = ''

    # ---- signals -------------------------------------------------------
    def before_run(self, runner: Runner) -> None:
        """Before any worker is started."""
        if isinstance(runner.optim_wrapper, (OptimWrapper, OptimWrapperDict)):
            self._shield(runner.train_loop.dataloader)

    def before_train(self, runner: Runner) -> None:
        """Listen to the signals."""
        self._runner, self._trained, self.received = runner, False, None
        path = osp.join(runner.work_dir, CHECKPOINT)
        self._old_file = (
            path if is_main_process() and osp.isfile(path) else '')
        if get_world_size() > 1:
            self._group = dist.new_group(backend='gloo')
        try:
            for number in self.signals:
                self._old[number] = signal.signal(number, self._receive)
        except ValueError:  # not the main thread
            runner.logger.warning(
                'not in the main thread: a preemption loses what was trained '
                'since the last checkpoint')

    def after_run(self, runner: Runner) -> None:
        """Listen no more."""
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._old = {}

    def before_val(self, runner: Runner) -> None:
        """Before any worker is started."""
        self._shield(runner.val_loop.dataloader)

    def before_test(self, runner: Runner) -> None:
        """Before any worker is started."""
        if self._runner is not None:
            self._shield(runner.test_loop.dataloader)

    def _shield(self, loader: Any) -> None:
        """Make the workers of a DataLoader ignore the signals."""
        if loader.num_workers and not isinstance(loader.worker_init_fn,
                                                 _DeafWorker):
            loader.worker_init_fn = _DeafWorker(loader.worker_init_fn,
                                                self.signals)

    def _receive(self, number: int, frame: Any) -> None:
        """Remember the signal; Python calls this between two operations."""
        # unless an error has ended the training
        if not is_called_by(frame, self._runner.train_loop):
            self.after_run(self._runner)
            signal.raise_signal(number)
            return
        self.received = signal.Signals(number)
        if self._trained:
            self._leave('training is over')
        # what started this process may have had the signal too, and send
        # an interrupt to end it
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    # ---- training ------------------------------------------------------
    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Save and leave, if any process was told to.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Index of the batch in its loop.
            data_batch (Any): The batch.
            outputs (dict, optional): Losses of the step.
        """
        self._forget_old(runner)
        if self._between_steps(runner):
            return
        if get_world_size() > 1:
            if (runner.iter + 1) % self.interval:
                return
            told = torch.tensor(int(self.received or 0))
            dist.all_reduce(told, dist.ReduceOp.MAX, group=self._group)
            if told.item():
                self.received = signal.Signals(int(told.item()))
        if self.received is None:
            return
        path = self._regular(runner, runner.epoch, runner.iter + 1)
        if path is None:
            runner.call_hook('before_checkpoint')
            path = self._save(runner, runner.epoch, runner.iter + 1)
        barrier()
        self._leave(f'iteration {runner.iter + 1} is saved in {path}')

    def after_train_epoch(self, runner: Runner) -> None:
        """The last one is saved: nothing has to be finished any more."""
        self._forget_old(runner)
        loop = runner.train_loop
        if runner.iter >= loop.max_iters or loop.stop_training:
            self._trained = True
            if self.received is not None:
                self._leave('training is over')

    def after_val_iter(self,
                       runner: Runner,
                       batch_idx: int,
                       data_batch: Any = None,
                       outputs: Optional[Sequence] = None) -> None:
        """Leave, with what was trained before.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Index of the batch in its loop.
            data_batch (Any): The batch.
            outputs (Sequence, optional): Predictions.
        """
        if self.received is None or self._between_steps(runner):
            return
        path = self._regular(runner, runner.epoch, runner.iter)
        if path is None and is_main_process():
            path = self._save(runner, runner.epoch, runner.iter)
        elif not is_main_process():
            time.sleep(5)  # the launcher ends all when the first one leaves
        self._leave(f'iteration {runner.iter} is saved in {path}; its '
                    'validation will be made again')

    # ---- checkpoints ---------------------------------------------------
    @staticmethod
    def _between_steps(runner: Runner) -> bool:
        """Tell whether there are gradients, which no checkpoint holds."""
        wrapper = runner.optim_wrapper
        # several optimizers see to their steps themselves
        return (isinstance(wrapper, OptimWrapper)
                and not wrapper.should_update())

    @staticmethod
    def _regular(runner: Runner, epoch: int, iteration: int) -> Optional[str]:
        """A checkpoint of this very step that CheckpointHook has saved."""
        loop = runner.train_loop
        whole = epoch * (loop.max_iters // loop.max_epochs) == iteration
        # in the middle of an epoch that of its beginning is none
        return saved_checkpoint(runner, epoch if whole else None, iteration)

    @staticmethod
    def _save(runner: Runner, epoch: int, iteration: int) -> str:
        """A checkpoint that the next regular one replaces."""
        path = osp.join(runner.work_dir, CHECKPOINT)
        runner.save_checkpoint(
            runner.work_dir,
            CHECKPOINT,
            by_epoch=False,
            backend_args=dict(backend=ATOMIC),
            meta=dict(epoch=epoch, iter=iteration))
        if is_main_process():
            name_checkpoint(runner, path)
        return path

    def _forget_old(self, runner: Runner) -> None:
        """Remove the checkpoint of an earlier preemption when one is newer."""
        if self._old_file and any(
                isinstance(hook, CheckpointHook) and hook.last_ckpt
                for hook in runner.hooks):
            os.remove(self._old_file)
            self._old_file = ''

    def _leave(self, state: str) -> None:
        """Say how to go on, and end the process."""
        name = self.received.name if self.received else 'a signal'
        command = shlex.join(['python', *sys.argv])
        if '--resume' not in sys.argv:
            command += ' --resume'
        if get_world_size() > 1:
            command = 'the same command with --resume'
        if is_main_process():
            self._runner.logger.warning(
                f'{name}: {state}; to go on: {command}')
        raise SystemExit(PREEMPTED)
