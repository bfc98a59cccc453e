# Copyright (c) group_wsss contributors. All rights reserved.
"""Schedules that end before the training does, or never begin."""
from typing import Any, Iterator, List, Tuple

from mmengine.optim.scheduler import (CosineAnnealingParamScheduler,
                                      CosineRestartParamScheduler,
                                      LinearParamScheduler,
                                      OneCycleParamScheduler,
                                      PolyParamScheduler)
from mmengine.runner import IterBasedTrainLoop

from ...utils.errors import InputError

# their last value is one to end with, and it stays
_DECAYING = (PolyParamScheduler, CosineAnnealingParamScheduler,
             CosineRestartParamScheduler, OneCycleParamScheduler,
             LinearParamScheduler)


def _schedulers(runner: Any) -> Iterator[Tuple[str, Any, List[Any]]]:
    """Each scheduler with its key and all of the same optimizer."""
    built: Any = runner.param_schedulers or []
    given = runner.cfg.get('param_scheduler', None)
    for name, some in (built if isinstance(built, dict) else dict(
            all=built)).items():
        key, own = 'param_scheduler', given
        # one config may serve all optimizers
        if isinstance(built, dict) and name in (given or ()):
            key, own = f'{key}.{name}', given[name]
        for i, item in enumerate(some):
            yield key if isinstance(own, dict) else f'{key}.{i}', item, some


def _end(scheduler: Any) -> Tuple[int, str, int]:
    """Last step of a decay, the argument that says so, what it counts from."""
    ends = [(scheduler.end, 'end', 0)]
    for name in ('T_max', 'total_steps'):
        span = getattr(scheduler, name, None)
        if span:
            ends.append((scheduler.begin + span, name, scheduler.begin))
    return min(ends, key=lambda end: end[0])


def check_schedules(runner: Any, resumed: bool = False) -> None:
    """Refuse a training that goes on after its learning rate has ended.

    Looked at are learning rates that fall to an end (``PolyLR``,
    ``CosineAnnealingLR``, ``CosineRestartLR``, ``OneCycleLR``, a ``LinearLR``
    that falls): they must last as long as the training, unless a later
    scheduler takes over until its end. A scheduler that counts epochs takes
    no step in an iteration-based loop.

    Args:
        runner (mmengine.Runner): With its train loop and schedulers built.
        resumed (bool): Whether the schedulers are those of a checkpoint, as
            mmengine resumes their ends too. Defaults to False.

    Raises:
        InputError: One line with the key and both numbers.
    """
    loop = runner.train_loop
    by_iter = isinstance(loop, IterBasedTrainLoop)
    for where, item, schedulers in _schedulers(runner):
        name = type(item).__name__
        # a plateau is looked for after each validation
        if by_iter and item.by_epoch and not hasattr(item, 'need_val_args'):
            raise InputError(
                f'{where}: {name} counts epochs, train_cfg iterations: it '
                f'would take no step; set {where}.by_epoch=False')
        end, key, begin = _end(item)
        total = loop.max_epochs if item.by_epoch else loop.max_iters
        rises = (
            isinstance(item, LinearParamScheduler)
            and item.end_factor >= item.start_factor)
        if (not isinstance(item, _DECAYING) or rises or item.param_name != 'lr'
                or end >= total or any(
                    later.begin >= end and later.end >= total
                    for later in schedulers if later.by_epoch == item.by_epoch
                    and later.param_name == 'lr')):
            continue
        unit = 'epochs' if item.by_epoch else 'iterations'
        length = 'max_iters' if by_iter else 'max_epochs'
        text = (f'{where}: {name} ends after {end} {unit}, the training '
                f'(train_cfg.{length}) after {total}: the learning rate '
                'would stay at its last value; ')
        if resumed:
            raise InputError(
                f'{text}a resumed run keeps the ends that its checkpoint '
                'holds: train on from it with load_from and without resume')
        # with convert_to_iter_based the config counts epochs all the same
        same = by_iter or item.by_epoch
        raise InputError(f'{text}set {where}.{key} to ' +
                         (f'{total - begin}' if same else 'its length'))
