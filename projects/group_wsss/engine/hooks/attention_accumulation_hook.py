# Copyright (c) group_wsss contributors. All rights reserved.
import copy
import math
import os.path as osp
import time
from typing import Any, Dict, Optional, Sequence, Tuple

from mmengine.dist import (all_gather_object, barrier, get_rank,
                           get_world_size, is_main_process)
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from ...pseudo_labels import LabelDump
from ...registry import HOOKS, TASK_UTILS
from ...structures import DumpWriter, ScoreMap
from ...utils.errors import InputError
from ...utils.files import make_folder, output_path, remove_leftovers
from ...utils.progress import Progress
from ..accumulator import (ScoreAccumulator, merged_maps, rank_folders,
                           remove_score_maps, stored_ids)
from ..dump_end import finish_dump
from ..geometry import check_pipeline, check_shape, undo_flip
from ..utils import (dataset_classes, loss_samples, trained_checkpoint,
                     unwrap_model)


@HOOKS.register_module()
class AttentionAccumulationHook(Hook):
    """Online attention accumulation: maximum of the maps of training.

    As in OAA (ICCV 2019) and in the released code of Group-WSSS: from
    ``begin_epoch`` on, each class map that the model computes for its loss is
    divided by its own maximum and merged, by image id and element-wise
    maximum, with those of earlier epochs. Here they stay float16, are keyed
    by image id rather than by position, and flips are undone.

    The model attaches ``class_maps`` ``(n, h, w)``, ``class_ids`` ``(n, )``
    and ``pred_score`` ``(C, )`` to the samples in loss mode, as ``GroupCAM``
    does. A torch forward hook on the unwrapped model reads them.

    Maps can be brought back to the image only after resizing and
    flipping. Crops, rotations, paddings and batch augmentations are refused,
    by the names in the pipeline before training and by ``img_shape`` against
    ``ori_shape`` and ``scale_factor`` for each sample.

    Files: each rank keeps ``<out_dir>/rank<r>/<img_id>.npz``, flushed before
    every checkpoint, so a resumed run (of any number of processes) ends with
    the same maximum. A run that starts from scratch removes such files of
    the run before. At the end the maximum over ranks is written to
    ``<out_dir>/merged``; all ranks must share this folder.

    Args:
        out_dir (str, optional): Defaults to ``<work_dir>/attention``.
        begin_epoch (int): First epoch, 0-based, that counts; in an
            iteration-based loop passes over the images are counted.
            Defaults to 1.
        begin_iter (int, optional): First iteration, 0-based, that counts;
            replaces ``begin_epoch``. Defaults to None.
        anchors_only (bool): Take the first image of each group alone, as the
            released code. Defaults to True.
        min_score (float): Leave out a class with a lower ``pred_score``.
            Defaults to 0.1.
        keep_last (bool): A class of an image that got no map at all takes
            that of the last epoch (the last pass, if the loop counts
            iterations) whatever its score, as the released code. Defaults
            to True.
        stride (int, optional): Keep maps at 1 / ``stride`` of the
            image. None keeps the model's size; maps of one image that
            differ in size meet on the larger height and width. Defaults to
            None.
        flush_interval (int, optional): Also flush every so many iterations,
            which bounds the memory. Defaults to None.
        labeler (dict, optional): Config of a labeler for label images of
            the merged maps. Defaults to None, no label images.
        label_dir (str, optional): Their folder. Defaults to
            ``<work_dir>/pseudo_labels_accumulated``.

    Raises:
        InputError: A train pipeline whose geometry cannot be undone, a
            model without class maps, or a folder that cannot be written.
    """

    # before CheckpointHook: a checkpoint never knows more than the files
    priority = 'LOW'

    def __init__(self,
                 out_dir: Optional[str] = None,
                 begin_epoch: int = 1,
                 begin_iter: Optional[int] = None,
                 anchors_only: bool = True,
                 min_score: float = 0.1,
                 keep_last: bool = True,
                 stride: Optional[int] = None,
                 flush_interval: Optional[int] = None,
                 labeler: Optional[dict] = None,
                 label_dir: Optional[str] = None) -> None:
        assert begin_epoch >= 0 and (begin_iter is None or begin_iter >= 0), (
            'begin_epoch and begin_iter must not be negative')
        assert stride is None or stride >= 1, 'stride must be positive'
        assert flush_interval is None or flush_interval >= 1, (
            'flush_interval must be positive')
        self.out_dir = out_dir
        self.begin_epoch = begin_epoch
        self.begin_iter = begin_iter
        self.anchors_only = anchors_only
        self.min_score = min_score
        self.keep_last = keep_last
        self.stride = stride
        self.flush_interval = flush_interval
        self.labeler_cfg = copy.deepcopy(labeler)
        self.labeler = (None if labeler is None else TASK_UTILS.build(
            copy.deepcopy(labeler)))
        self.label_dir = label_dir
        self.writer: Optional[DumpWriter] = None
        self._samples: Sequence = ()

    # ---- training ------------------------------------------------------
    def before_train(self, runner: Runner) -> None:
        """Check the pipeline, prepare the folder, listen to the model."""
        loader = runner.train_loop.dataloader
        check_pipeline(loader.dataset)
        model: Any = unwrap_model(runner.model)
        prepare = getattr(model, 'data_preprocessor', None)
        if getattr(prepare, 'batch_augments', None) is not None:
            raise InputError(
                'model.data_preprocessor.batch_augments mixes images: class '
                'maps of a mixture cannot be accumulated')
        self._folder = osp.abspath(
            self.out_dir or osp.join(runner.work_dir, 'attention'))
        self.merged_dir = osp.join(self._folder, 'merged')
        self._own = osp.join(self._folder, f'rank{get_rank()}')
        make_folder(self._own)
        remove_leftovers(self._folder)
        if runner.iter == 0:
            if is_main_process():
                removed = remove_score_maps(
                    rank_folders(self._folder) +
                    rank_folders(self._folder, last=True) + [self.merged_dir])
                if removed:
                    runner.logger.info(f'removed {removed} score maps of an '
                                       f'earlier run from {self._folder}')
            barrier()
        if self.labeler is not None:
            self._make_writer(runner)  # fails now if it has to
        self._maps = ScoreAccumulator(self._own)
        self._last = ScoreAccumulator(self._own + '_last')
        # the model prepares them for whoever asks
        model.attach_class_maps = True
        self._handle = model.register_forward_hook(
            self._remember, with_kwargs=True)

    def _make_writer(self, runner: Runner) -> DumpWriter:
        out_dir = self.label_dir or osp.join(runner.work_dir,
                                             'pseudo_labels_accumulated')
        dataset = runner.train_loop.dataloader.dataset
        self.writer = DumpWriter(out_dir, dataset_classes(dataset))
        return self.writer

    def _remember(self, module: Any, args: tuple, kwargs: Dict[str, Any],
                  output: Any) -> None:
        """The samples of a loss step; torch calls this after forward."""
        samples = loss_samples(args, kwargs)
        if samples is not None:
            self._samples = samples

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Merge the maps of this iteration; flush when it is time.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Index of the batch in its loop.
            data_batch (Any): The batch.
            outputs (dict, optional): Losses of the step.
        """
        samples, self._samples = self._samples, ()
        samples = [
            sample for sample in samples
            if not self.anchors_only or sample.get('group_slot', 0) == 0
        ]
        begun, last = self._place(runner, len(samples))
        for sample in samples if begun else ():
            self._add(sample, last and self.keep_last)
        if self._flush_due(runner):
            self._flush()

    def after_train_epoch(self, runner: Runner) -> None:
        """Flush what the epoch has gathered."""
        self._flush()

    def before_checkpoint(self, runner: Runner) -> None:
        """A checkpoint out of turn, as ``PreemptionHook`` writes it."""
        self._flush()

    def _place(self, runner: Runner, per_iter: int) -> Tuple[bool, bool]:
        """Whether this iteration counts, and whether it is of the last pass.

        A pass of an iteration-based loop has taken every image once, about.
        """
        now, begin = runner.epoch, self.begin_epoch
        last = runner.max_epochs - 1
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            images = len(runner.train_loop.dataloader.dataset)
            length = math.ceil(images / (max(1, per_iter) * get_world_size()))
            now, begin = runner.iter, begin * length
            last = runner.max_iters - length
        begun = now >= begin
        if self.begin_iter is not None:
            begun = runner.iter >= self.begin_iter
        return begun, now >= last

    def _flush_due(self, runner: Runner) -> bool:
        """By the interval, or because a checkpoint is about to be saved."""
        if self.is_last_train_iter(runner) or (
                self.flush_interval
                and self.every_n_train_iters(runner, self.flush_interval)):
            return True
        return any(not hook.by_epoch and hook.every_n_train_iters(
            runner, hook.interval, hook.save_begin) for hook in runner.hooks
                   if isinstance(hook, CheckpointHook))

    def _flush(self) -> None:
        self._maps.flush()
        self._last.flush()

    def _add(self, sample: Any, last: bool) -> None:
        """Merge the maps of one sample."""
        if sample.get('left_out', False):  # by NonFiniteHook
            return
        check_shape(sample)
        for key in ('class_maps', 'class_ids', 'pred_score'):
            if sample.get(key, None) is None:
                raise InputError(
                    f'image {sample.get("img_id")!r}: the model attaches no '
                    f'{key} to its samples in loss mode; accumulation needs '
                    'a model such as group_wsss.GroupCAM')
        scores = sample.get('pred_score').detach().float().cpu().numpy()
        whole = ScoreMap.from_sample(sample)
        maps, ids = undo_flip(whole.maps, sample), whole.class_ids
        strong = scores[ids] >= self.min_score
        for held, kept in ((self._maps, strong), (self._last, ~strong & last)):
            part = ScoreMap(whole.img_id, whole.ori_shape, ids[kept],
                            maps[kept])
            if self.stride is not None:
                height, width = (
                    math.ceil(side / self.stride) for side in whole.ori_shape)
                part = part.resize((height, width))
            held.merge(part)

    # ---- end -----------------------------------------------------------
    def after_train(self, runner: Runner) -> None:
        """Merge over ranks and, if wanted, write label images."""
        self._handle.remove()
        start = time.perf_counter()
        self._flush()
        barrier()
        ids = stored_ids(self._folder)
        if any(other != len(ids) for other in all_gather_object(len(ids))):
            raise InputError(f'{self._folder}: not the same folder on all '
                             'machines; accumulation needs a shared one')
        dump = None
        if self.labeler is not None:
            dump = LabelDump(self._make_writer(runner), self.labeler)
            if is_main_process():
                dump.writer.begin()
            barrier()
        own_ids = ids[get_rank()::get_world_size()]
        found = merged_maps(self._folder, own_ids)
        if is_main_process():
            found = Progress('accumulated maps').over(found, len(own_ids))
        for score_map in found:
            score_map.save(
                output_path(self.merged_dir, score_map.img_id, '.npz'))
            if dump is not None:
                dump.take(score_map)
        barrier()
        dataset = runner.train_loop.dataloader.dataset
        if is_main_process():
            runner.logger.info(f'accumulated maps of {len(ids)} of '
                               f'{len(dataset)} images in {self.merged_dir}')
        if dump is not None:
            finish_dump(
                runner,
                dump,
                dataset,
                trained_checkpoint(runner),
                start,
                labeler=dict(self.labeler_cfg or {}))
