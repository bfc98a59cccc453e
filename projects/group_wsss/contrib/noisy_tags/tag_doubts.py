# Copyright (c) group_wsss contributors. All rights reserved.
import csv
import io
import os.path as osp
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...engine.utils import dataset_classes, gather_dicts
from ...registry import HOOKS
from ...utils.errors import InputError
from ...utils.files import atomic_write

TABLE = 'tag_doubts.csv'
# of each kind in the log
_SHOWN = 5
# class ids of the tags, peaks of their maps, scores of all classes
Found = Tuple[np.ndarray, np.ndarray, np.ndarray]


@HOOKS.register_module()
class TagDoubts(Hook):
    """List the tags that class maps contradict, after a test; no masks.

    ``tag_doubts.csv`` in the folder of the run has a line for each tag, the
    weakest class map first (``wrong?``: the peak of the map before it is
    normalised, a logit), and as many lines of classes that are no tag of
    an image, the highest score first (``missing?``: a probability). A rank
    is a place in a list to look through, not a verdict: docs/own_data.md.

    ``default_hooks.tag_doubts.type=group_wsss.TagDoubts``, in a training or
    of ``tools/test.py``.

    Args:
        out (str, optional): The file. Defaults to None: in the work
            directory.

    Raises:
        InputError: The model predicts no class maps.
    """

    def __init__(self, out: Optional[str] = None) -> None:
        self.out = out

    def before_test(self, runner: Runner) -> None:
        """Forget an earlier test."""
        self.found: Dict[str, Found] = {}

    def after_test_iter(self,
                        runner: Runner,
                        batch_idx: int,
                        data_batch: Any = None,
                        outputs: Optional[Sequence] = None) -> None:
        """Keep scores and peaks of a batch.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Index of the batch in its loop.
            data_batch (Any): The batch.
            outputs (Sequence[DataSample]): Predictions.
        """
        for sample in outputs or []:
            if 'class_maps' not in sample or 'gt_label' not in sample:
                raise InputError('TagDoubts needs tags, and a model that '
                                 'predicts class maps, such as '
                                 'group_wsss.GroupCAM')
            self.found[sample.img_id] = (
                sample.class_ids.cpu().numpy(), sample.class_maps.amax(
                    (1, 2)).float().cpu().numpy(),
                sample.pred_score.float().cpu().numpy())

    def after_test(self, runner: Runner) -> None:
        """Write the table, tell its first lines."""
        found = gather_dicts(self.found)
        if not is_main_process() or not found:
            return
        classes = dataset_classes(runner.test_loop.dataloader.dataset)
        wrong, missing = rank_doubts(found)
        text = io.StringIO()
        table = csv.writer(text, lineterminator='\n')
        table.writerow(('kind', 'rank', 'id', 'class', 'evidence'))
        shown = []
        for kind, rows in (('missing?', missing), ('wrong?', wrong)):
            for rank, (img_id, class_id, value) in enumerate(rows, 1):
                row = (kind, rank, img_id, classes[class_id], f'{value:.4f}')
                table.writerow(row)
                if rank <= _SHOWN:
                    shown.append(f'  {kind} {row[3]} {row[4]}: {img_id}')
        path = self.out or osp.join(runner.work_dir, TABLE)
        atomic_write(path, text.getvalue().encode())
        runner.logger.info('tags that class maps contradict most, of '
                           f'{len(found)} images, all in {path}:\n' +
                           '\n'.join(shown))


def rank_doubts(found: Dict[str, Found]) -> Tuple[List[tuple], List[tuple]]:
    """Rank the tags by their maps, and what is no tag by its score.

    Args:
        found (dict): By image id: class ids of the tags ``(n, )``, peaks of
            their maps ``(n, )`` and scores of all classes ``(C, )``.

    Returns:
        tuple[list, list]: Of the tags, the weakest first, and of as many
        other classes, the strongest first: image id, class id and evidence.
        Equal ones are in the order of their ids.
    """
    wrong, missing = [], []
    for img_id, (ids, peaks, scores) in sorted(found.items()):
        wrong += [(img_id, int(i), float(peak)) for i, peak in zip(ids, peaks)]
        missing += [(img_id, i, float(score)) for i, score in enumerate(scores)
                    if i not in ids]
    wrong.sort(key=lambda row: row[2])
    missing.sort(key=lambda row: -row[2])
    return wrong, missing[:len(wrong)]
