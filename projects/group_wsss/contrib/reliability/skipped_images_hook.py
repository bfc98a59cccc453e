# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp
from typing import Any, Dict, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...engine.utils import gather_dicts
from ...registry import HOOKS
from ...structures.dump_writer import write_skipped


@HOOKS.register_module()
class SkippedImagesHook(Hook):
    """Count and list the images that training had to replace.

    A train dataset with ``on_corrupt='skip'`` marks the samples that stand in
    for a corrupt image. Each is told in the log when it is first met; at
    the end those of all processes are counted and listed in
    ``<work_dir>/skipped.txt``, id and reason.
    """

    def __init__(self) -> None:
        self.skipped: Dict[str, str] = {}

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Look for the marks.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Index of the batch in its loop.
            data_batch (dict): With ``data_samples``.
            outputs (dict, optional): Losses of the step.
        """
        if not isinstance(data_batch, dict):
            return
        for sample in data_batch.get('data_samples') or ():
            mark = sample.get('skipped', None)
            if mark is not None and mark[0] not in self.skipped:
                self.skipped[mark[0]] = mark[1]
                runner.logger.warning(f'{mark[1]}; another one is taken')

    def after_train(self, runner: Runner) -> None:
        """Sum up."""
        skipped = gather_dicts(self.skipped)
        if skipped and is_main_process():
            path = osp.join(runner.work_dir, 'skipped.txt')
            write_skipped(path, skipped)
            runner.logger.warning(
                f'{len(skipped)} corrupt images were replaced by others '
                f'in training, listed in {path}')
