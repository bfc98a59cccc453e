# Copyright (c) group_wsss contributors. All rights reserved.
import json
import os.path as osp
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.evaluation import AveragePrecision

from ...engine.utils import dataset_classes, gather_dicts
from ...evaluation.table import format_table
from ...registry import HOOKS
from ...utils.classes import require_same_classes
from ...utils.errors import InputError
from ...utils.files import atomic_write
from .clip_weights import fingerprint
from .dense_clip import DenseCLIP
from .text_cam_head import TextCAMHead


@HOOKS.register_module()
class CheckPrompts(Hook):
    """See that words fit data and image tower, and which of them work.

    Before a test: class names of the file are those of the data, in their
    order, and its model is that of the checkpoint. The words are noted in
    the config (``text_features``), which manifests keep.

    After it: the average precision of each class's score on the tags. The
    score does not see the tags, and no mask is read. A class that is hardly
    above its share of the images, which is what chance gives, is not known
    by its words. ``prompts.json`` in the work dir has both, for
    ``FuseText``.

    Raises:
        InputError: Names or model differ, or the model has no
            ``TextCAMHead``.
    """

    def before_test(self, runner: Runner) -> None:
        """Compare the file with the data and the weights."""
        parts = list(runner.model.modules())
        heads = [part for part in parts if isinstance(part, TextCAMHead)]
        if not heads:
            raise InputError('CheckPrompts needs a model with a TextCAMHead')
        self.head = heads[0]
        text, path = self.head.text, self.head.text_path
        dataset = runner.test_loop.dataloader.dataset
        require_same_classes(text.classes, path, dataset_classes(dataset),
                             'the data')
        for part in parts:
            if isinstance(part, DenseCLIP):
                name = text.about['model'].get('name')
                if fingerprint(part.proj.weight
                               ) != text.about['model']['fingerprint']:
                    raise InputError(
                        f'{path}: was made by {name}, the checkpoint '
                        f'({runner.cfg.get("load_from")}) is of another '
                        'model: their features cannot be compared')
        runner.cfg.text_features = text.about
        # image id -> scores, class ids
        self.found: Dict[str, Tuple[np.ndarray, np.ndarray]] = {}

    def after_test_iter(self,
                        runner: Runner,
                        batch_idx: int,
                        data_batch: Any = None,
                        outputs: Optional[Sequence] = None) -> None:
        """Keep the scores of a batch.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Index of the batch in its loop.
            data_batch (Any): The batch.
            outputs (Sequence[DataSample]): Predictions.
        """
        for sample in outputs or []:
            self.found[sample.img_id] = (sample.pred_score.cpu().numpy(),
                                         sample.gt_label.cpu().numpy())

    def after_test(self, runner: Runner) -> None:
        """Tell the precision of each class, the doubtful ones first."""
        found = gather_dicts(self.found)
        if not is_main_process() or not found:
            return
        score = np.stack([score for score, _ in found.values()])
        target = np.zeros(score.shape, int)
        for row, (_, ids) in zip(target, found.values()):
            row[ids] = 1
        precision = AveragePrecision.calculate(
            torch.from_numpy(score), torch.from_numpy(target), None).numpy()
        count = target.sum(axis=0)
        share = 100 * count / len(target)
        about = self.head.text.about
        # a class without an image is not known to be found
        known = {
            name: dict(AP=float(p) if n else 0., chance=float(s))
            for name, p, n, s in zip(about['classes'], precision, count, share)
        }
        atomic_write(
            osp.join(runner.work_dir, 'prompts.json'),
            (json.dumps(known, indent=1) + '\n').encode())
        rows = [(about['classes'][i], ', '.join(about['words'][i]),
                 int(count[i]), float(precision[i]), float(share[i]))
                for i in np.argsort(precision - share, kind='stable')
                if count[i]]
        table = format_table(['class', 'called', 'images', 'AP', 'chance'],
                             rows)
        runner.logger.info('how well words find the tags, no mask read:\n'
                           f'{table}')
