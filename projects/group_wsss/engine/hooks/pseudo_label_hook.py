# Copyright (c) group_wsss contributors. All rights reserved.
import copy
import os.path as osp
import time
from functools import partial
from typing import Any, Optional, Sequence

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...datasets import load_image
from ...pseudo_labels import LabelDump, Refiners
from ...pseudo_labels.dump import ON_NON_FINITE
from ...pseudo_labels.score_size import ScoreSize
from ...registry import HOOKS, TASK_UTILS
from ...structures import DumpWriter, ScoreMap
from ...utils.errors import InputError
from ..dump_end import finish_dump
from ..utils import dataset_classes, trained_checkpoint


@HOOKS.register_module()
class PseudoLabelHook(Hook):
    """Write a label image for every tested image.

    Every test loop dumps: that of ``runner.test()`` and, with
    ``after_train``, the one that this hook runs once at the end of training,
    so that training ends with labels (its metrics are logged as in any
    test). Labels, ``manifest.json`` and ``ids.txt`` appear in ``out_dir`` when
    the dump is complete; until then an earlier dump stays as it is.

    Equal class maps give equal bytes: the number of processes, of workers or
    the batch size do not enter.

    Args:
        out_dir (str, optional): Where ``<img_id>.png`` go. Defaults to
            ``<work_dir>/pseudo_labels``.
        labeler (dict, optional): Config of a labeler. Defaults to
            ``dict(type='group_wsss.ThresholdLabeler')``. With
            ``bg_threshold='otsu'`` the threshold is chosen when the maps of
            all images are there.
        refiners (Sequence[dict], optional): Configs of refiners, run in
            order on each score map. Defaults to None.
        keep_scores (bool): Also save the refined score maps, float16, as
            ``<out_dir>/scores/<img_id>.npz``. After the first images
            the log tells how much disk all will need. Defaults to False.
        after_train (bool): Run the test loop when training is over, if the
            runner has one. Defaults to True.
        palette (Sequence, optional): RGB of the labels. Defaults to
            none, see :func:`~group_wsss.structures.palette.palette_of`.
        on_non_finite (str): An image whose class maps hold NaN or an
            infinity ends the dump (``'error'``), or gets no label, is
            counted and listed in ``skipped.txt`` (``'skip'``). Defaults to
            'error'.

    Raises:
        InputError: The folder cannot be written, its disk is too small for
            the score maps, the model predicts no class maps, or an image
            that a refiner needs is missing or damaged.
    """

    priority = 'LOW'

    def __init__(self,
                 out_dir: Optional[str] = None,
                 labeler: Optional[dict] = None,
                 refiners: Optional[Sequence[dict]] = None,
                 keep_scores: bool = False,
                 after_train: bool = True,
                 palette: Optional[Sequence] = None,
                 on_non_finite: str = 'error') -> None:
        if on_non_finite not in ON_NON_FINITE:
            raise InputError(f'on_non_finite={on_non_finite!r} of '
                             'PseudoLabelHook is not one of '
                             f'{ON_NON_FINITE}')
        self.on_non_finite = on_non_finite
        self.out_dir = out_dir
        self.labeler_cfg = copy.deepcopy(
            dict(labeler or dict(type='group_wsss.ThresholdLabeler')))
        self.labeler = TASK_UTILS.build(copy.deepcopy(self.labeler_cfg))
        self.refiners_cfg = copy.deepcopy(list(refiners or ()))
        # those that need a trained network load it when labels are made
        self.refiners: Optional[Refiners] = None
        self.keep_scores = keep_scores
        self._dump_after_train = after_train
        self.palette = palette
        self.writer: Optional[DumpWriter] = None
        self.dump: LabelDump
        self.score_size: ScoreSize
        self._trained = False
        self._start = 0.0

    def before_train(self, runner: Runner) -> None:
        """Find out before training that labels cannot be written."""
        # from now on, runner.test() keeps the trained weights as well
        self._trained = True
        if self._dump_after_train and runner.test_loop is not None:
            self._make_writer(runner)

    def after_train(self, runner: Runner) -> None:
        """Run the test loop, which calls the methods below."""
        if self._dump_after_train and runner.test_loop is not None:
            runner.logger.info('training is over: writing pseudo labels')
            runner.test_loop.run()

    def before_test(self, runner: Runner) -> None:
        """Prepare the folder."""
        self._start = time.perf_counter()
        writer = self._make_writer(runner)
        self.dump = LabelDump(writer, self.labeler, self.refiners,
                              self.keep_scores, self.on_non_finite)
        self.score_size = ScoreSize(self.dump,
                                    len(runner.test_loop.dataloader.dataset))
        # no process may write before that
        if is_main_process():
            writer.begin()
        barrier()

    def _make_writer(self, runner: Runner) -> DumpWriter:
        out_dir = self.out_dir or osp.join(runner.work_dir, 'pseudo_labels')
        dataset = runner.test_loop.dataloader.dataset
        self.writer = DumpWriter(out_dir, dataset_classes(dataset),
                                 self.palette)
        if self.refiners is None:
            self.refiners = Refiners(self.refiners_cfg)
        return self.writer

    def after_test_iter(self,
                        runner: Runner,
                        batch_idx: int,
                        data_batch: Any = None,
                        outputs: Optional[Sequence] = None) -> None:
        """Label the images of a batch.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Index of the batch in its loop.
            data_batch (Any): The batch.
            outputs (Sequence[DataSample]): Predictions, anchors only.
        """
        for sample in outputs or []:
            path = sample.get('img_path', None)
            with self.dump.guard(sample.get('img_id')):
                self.dump.take(
                    ScoreMap.from_sample(sample),
                    image=None if path is None else partial(load_image, path))
            line = self.score_size.measure(sample.get('img_id'))
            if line is not None:
                runner.logger.info(line)

    def after_test(self, runner: Runner) -> None:
        """Write the manifest once every rank is done."""
        checkpoint = (
            trained_checkpoint(runner)
            if self._trained else runner.cfg.get('load_from'))
        dataset = runner.test_loop.dataloader.dataset
        finish_dump(
            runner,
            self.dump,
            dataset,
            checkpoint,
            self._start,
            corrupt=getattr(dataset, 'skipped', None),
            labeler=self.labeler_cfg,
            refiners=self.refiners_cfg)
