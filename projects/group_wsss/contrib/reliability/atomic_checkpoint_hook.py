# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp
from typing import Any, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ...registry import HOOKS
from ...utils.files import SameFolder, atomic_write
from .atomic_backend import ATOMIC


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """At every moment ``last_checkpoint`` names a whole checkpoint.

    mmengine removes the oldest checkpoint before it writes the next one and
    then overwrites ``last_checkpoint`` in place: with ``max_keep_ckpts=1`` a
    kill or a full disk in between loses everything. Here the new checkpoint
    is written, then named, and the oldest one removed last.

    The arguments are those of ``CheckpointHook``. Before it saves, it calls
    ``before_checkpoint`` of all hooks that have it, in all processes.
    """

    def before_train(self, runner: Runner) -> None:
        """Remember the work dir, which may be unmounted later.

        Args:
            runner (Runner): The runner.
        """
        if (self.backend_args is None and self.file_client_args is None
                and '://' not in (self.out_dir or runner.work_dir)):
            self.backend_args: Optional[dict] = dict(backend=ATOMIC)
        super().before_train(runner)
        self._place = SameFolder(runner.work_dir)

    def _save_checkpoint_with_step(self, runner: Runner, step: int,
                                   meta: dict) -> None:
        """Save, name, remove.

        Args:
            runner (Runner): The runner.
            step (int): Epoch or iteration, for the file's name.
            meta (dict): Of the checkpoint.
        """
        if is_main_process():
            self._place.check()
        runner.call_hook('before_checkpoint')
        oldest: Optional[Any] = None
        if self.max_keep_ckpts > 0:
            ids = self.keep_ckpt_ids
            known = list(ids)
            if not ids or ids[-1] != step:
                if len(ids) == self.max_keep_ckpts:
                    oldest = ids.popleft()
                ids.append(step)
                known.append(step)
            # with the oldest: a resumed run removes what is too many
            runner.message_hub.update_info('keep_ckpt_ids', known)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args)
        # a sharded checkpoint is saved by all processes, its name by one
        if not is_main_process():
            return
        name_checkpoint(runner, self.last_ckpt)
        if oldest is None:
            return
        path = self.file_backend.join_path(self.out_dir,
                                           self.filename_tmpl.format(oldest))
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            self.file_backend.rmtree(path)


def name_checkpoint(runner: Runner, path: str) -> None:
    """Make a checkpoint the one that ``--resume`` takes.

    Args:
        runner (Runner): The runner.
        path (str): A checkpoint that is there.

    Raises:
        InputError: The work dir cannot be written, or is full.
    """
    atomic_write(osp.join(runner.work_dir, 'last_checkpoint'), path.encode())
