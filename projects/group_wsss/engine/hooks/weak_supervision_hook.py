# Copyright (c) group_wsss contributors. All rights reserved.
import random
from typing import Any, Optional, Sequence

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ...utils.errors import InputError
from ..utils import transform_name, walk_datasets, walk_transforms

_MASK_FIELDS = ('gt_seg_map', 'gt_sem_seg', 'seg_map_path')


@HOOKS.register_module()
class WeakSupervisionHook(Hook):
    """Stop a training that would see masks.

    Image-level supervision means that no mask reaches a weight, neither as a
    target nor by choosing a checkpoint, the moment to stop or the learning
    rate. Masks may be read by metrics.

    Refused are: a train pipeline with a transform named ``Load...
    Annotations``; a data entry or packed sample of the train dataset that
    carries ``gt_seg_map``, ``gt_sem_seg`` or ``seg_map_path``; a hook or
    scheduler that follows a mask metric (``CheckpointHook.save_best``,
    ``monitor`` of ``EarlyStoppingHook`` or of a plateau scheduler).

    Args:
        mask_metrics (Sequence[str]): Parts of metric names, any case, that
            only masks can give. Defaults to ``('cam/', 'iou', 'dice',
            'pseudo', 'aAcc', 'mAcc')``.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        mask_metrics: Sequence[str] = ('cam/', 'iou', 'dice', 'pseudo', 'aAcc',
                                       'mAcc')
    ) -> None:
        self.mask_metrics = tuple(name.lower() for name in mask_metrics)

    def before_train(self, runner: Runner) -> None:
        """Check pipeline, one sample, hooks and schedulers.

        Raises:
            InputError: The config key, transform or field at fault.
        """
        dataset = runner.train_loop.dataloader.dataset
        for transform in walk_transforms(dataset):
            name = transform_name(transform)
            if name.startswith('Load') and name.endswith('Annotations'):
                raise InputError(
                    f'train_dataloader.dataset.pipeline has {name}: masks '
                    'must not be read in weakly supervised training')
        self._check_entries(dataset)
        self._check_sample(dataset)
        for hook in runner.hooks:
            name = type(hook).__name__
            self._check_metric(name, 'save_best',
                               getattr(hook, 'save_best', None), runner)
            self._check_metric(name, 'monitor', getattr(hook, 'monitor', None),
                               runner)
        schedulers = runner.param_schedulers or []
        if isinstance(schedulers, dict):  # one list an optimizer
            schedulers = [
                item for part in schedulers.values() for item in part
            ]
        for scheduler in schedulers:
            self._check_metric(
                type(scheduler).__name__, 'monitor',
                getattr(scheduler, 'monitor', None), runner)

    @staticmethod
    def _check_entries(dataset: Any) -> None:
        """The first data entry of each inner dataset names no mask."""
        for item in walk_datasets(dataset):
            get = getattr(item, 'get_data_info', None)
            if get is None or not len(item):
                continue
            info = get(0)
            for field in _MASK_FIELDS:
                if isinstance(info, dict) and info.get(field) is not None:
                    raise InputError(
                        f'train dataset {type(item).__name__} hands out '
                        f'{field} ({info[field]}): masks must not be known '
                        'in weakly supervised training')

    @staticmethod
    def _check_sample(dataset: Any) -> None:
        """The first packed sample carries no mask; random states survive."""
        if not len(dataset):
            return
        states = random.getstate(), np.random.get_state()
        with torch.random.fork_rng(devices=[]):
            item = dataset[0]
        random.setstate(states[0])
        np.random.set_state(states[1])
        for entry in item if isinstance(item, (list, tuple)) else [item]:
            sample = (
                entry.get('data_samples') if isinstance(entry, dict) else None)
            for carrier in (entry, sample):
                get: Any = getattr(carrier, 'get', None)
                for field in _MASK_FIELDS:
                    if get is not None and get(field) is not None:
                        raise InputError(
                            f'samples of train_dataloader.dataset carry '
                            f'{field}: masks must not be known in weakly '
                            'supervised training')

    def _check_metric(self, owner: str, key: str, value: Any,
                      runner: Runner) -> None:
        """``value`` names no metric that is measured on masks."""
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, (list, tuple)):
            return
        for name in names:
            found: Optional[str] = None
            if name == 'auto':
                # the first metric of the validation
                found = self._mask_metric_of(runner)
            elif any(part in name.lower() for part in self.mask_metrics):
                found = name
            if found is not None:
                raise InputError(
                    f'{owner}.{key}={name!r} follows {found}, a metric '
                    'measured on masks: weakly supervised training must not '
                    'choose by it')

    def _mask_metric_of(self, runner: Runner) -> Optional[str]:
        """The first validation metric, if it is measured on masks."""
        evaluator = getattr(runner.val_loop, 'evaluator', None)
        for metric in getattr(evaluator, 'metrics', [])[:1]:
            name = f'{metric.prefix}/{type(metric).__name__}'
            if any(part in name.lower() for part in self.mask_metrics):
                return name
        return None
