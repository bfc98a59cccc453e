# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Iterator, Sequence, Tuple

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...datasets import ImageLevelDataset
from ...registry import HOOKS
from ...utils.errors import InputError
from ..supervision import (ALLOWED, follows_tags, mask_keys, may_load,
                           strange_fields)
from ..utils import transform_name, walk_datasets, walk_transforms

_CURE = 'if no mask is behind it, name it in WeakSupervisionHook.allow'


@HOOKS.register_module()
class WeakSupervisionHook(Hook):
    """Stop a training that would see masks.

    Image-level supervision means that no mask reaches a weight, neither as a
    target nor by choosing a checkpoint, the moment to stop or the learning
    rate. Masks may be read by metrics.

    What a training may see is listed in ``engine/supervision.py``; all else
    is refused:

    - a transform of the train pipeline that is named ``Load...`` and loads
      neither images nor seeds;
    - an entry of the train dataset under a name of masks, such as
      ``seg_map_path`` or ``gt_masks``; all entries are looked at, but for
      the ``ImageLevelDataset`` of this package, which has images and tags;
    - a field of a batch or of any of its samples whose name is not listed,
      looked at in every batch before it is trained on;
    - a ``save_best`` or ``monitor`` of a hook or scheduler that follows
      another metric than a loss or those of classification.

    It goes by names: what a transform of your own reads and hands on under a
    listed name, or how ``load_from`` was trained, it cannot know.

    Args:
        allow (Sequence[str]): More names that are no masks: of transforms,
            fields, entries or metrics. Defaults to ().
    """

    priority = 'VERY_HIGH'

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self.allow = frozenset(allow)
        self.fields = ALLOWED | self.allow

    def before_train(self, runner: Runner) -> None:
        """Check pipeline, data entries, hooks and schedulers.

        Raises:
            InputError: The config key, transform or field at fault.
        """
        dataset = runner.train_loop.dataloader.dataset
        for transform in walk_transforms(dataset):
            name = transform_name(transform)
            if not may_load(name) and name not in self.allow:
                raise InputError(
                    f'train_dataloader.dataset.pipeline has {name}: masks '
                    'must not be read in weakly supervised training; '
                    f'{_CURE}')
        self._check_entries(dataset)
        for owner, key, name in _followed(runner):
            evaluator: Any = getattr(runner.val_loop, 'evaluator', None)
            if name not in self.allow and not follows_tags(
                    name, getattr(evaluator, 'metrics', None)):
                raise InputError(
                    f'{owner}.{key}={name!r} follows a metric that is not '
                    'known to be measured on tags: weakly supervised '
                    f'training must not choose by masks; {_CURE}')

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Check the names of all that a batch carries.

        Raises:
            InputError: A field that is not listed.
        """
        for field in strange_fields(data_batch, self.fields):
            raise InputError(
                f'samples of train_dataloader.dataset carry {field}, which is '
                'not among what weakly supervised training may see; '
                f'{_CURE}')

    def _check_entries(self, dataset: Any) -> None:
        """No data entry of an inner dataset names a mask."""
        for item in walk_datasets(dataset):
            get = getattr(item, 'get_data_info', None)
            # those of this package write their entries themselves
            own = (
                isinstance(item, ImageLevelDataset)
                and type(item).__module__.startswith('group_wsss.'))
            if get is None or own:
                continue
            for i in range(len(item)):
                info = get(i)
                for field in set(mask_keys(info)) - self.allow:
                    raise InputError(
                        f'train dataset {type(item).__name__} hands out '
                        f'{field} ({str(info[field])[:200]}): masks must not '
                        f'be known in weakly supervised training; {_CURE}')


def _followed(runner: Runner) -> Iterator[Tuple[str, str, str]]:
    """Hook or scheduler, argument and metric of all that follow one."""
    schedulers: Any = runner.param_schedulers or []
    if isinstance(schedulers, dict):  # one list an optimizer
        schedulers = [item for part in schedulers.values() for item in part]
    for owner in [*runner.hooks, *schedulers]:
        for key in ('save_best', 'monitor'):
            value = getattr(owner, key, None)
            names = value if isinstance(value, (list, tuple)) else [value]
            for name in names:
                if isinstance(name, str):
                    yield type(owner).__name__, key, name
