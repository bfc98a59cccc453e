# Copyright (c) group_wsss contributors. All rights reserved.
"""A schedule lasts as long as its training, or is refused."""
import pytest

from group_wsss.engine.runner import DataRunner
from group_wsss.utils.errors import InputError

WARM_UP = dict(type='LinearLR', start_factor=0.1, end=2, by_epoch=False)


def poly(**more):
    return dict(dict(type='PolyLR', by_epoch=False), **more)


def cosine(**more):
    return dict(type='CosineAnnealingLR', **more)


def train(toy, schedule, by_epoch=False, length=8, **more):
    """ToyDataset has 3 batches an epoch."""
    runner = toy(
        kind=DataRunner,
        by_epoch=by_epoch,
        length=length,
        param_scheduler=schedule,
        cfg=dict(param_scheduler=schedule),
        **more)
    runner.train()
    return runner


@pytest.mark.parametrize('by_epoch, schedule', [
    (False, [WARM_UP, poly(begin=2)]),
    (False, [poly(end=6), dict(
        type='ConstantLR', factor=1.0, begin=6, by_epoch=False)]),
    (False, [poly(end=4), cosine(begin=4, end=8, by_epoch=False)]),
    (False, poly(end=99)),
    (False, dict(type='MultiStepLR', milestones=[2], end=4, by_epoch=False)),
    (False, dict(type='PolyMomentum', end=4, by_epoch=False)),
    (False, cosine(begin=0, end=4, convert_to_iter_based=True)),
    (True, [WARM_UP, cosine(begin=1, convert_to_iter_based=True)]),
    (True, cosine(T_max=8)),
    (False, None),
])  # yapf: disable
def test_runs(toy, by_epoch, schedule):
    train(toy, schedule, by_epoch)


@pytest.mark.parametrize('by_epoch, schedule, message', [
    (False, [WARM_UP, poly(begin=2, end=6)],
     r'param_scheduler.1: PolyLR ends after 6 iterations, the training '
     r'\(train_cfg.max_iters\) after 8: .* set param_scheduler.1.end to 8$'),
    (False, poly(end=6),
     r'param_scheduler: PolyLR .* param_scheduler.end to 8$'),
    (False, cosine(begin=2, T_max=4, end=8, by_epoch=False),
     'ends after 6 iterations.* param_scheduler.T_max to 6$'),
    (False, dict(type='LinearLR', start_factor=1.0, end_factor=0.0, end=6,
                 by_epoch=False), 'LinearLR ends after 6'),
    (False, [dict(type='PolyLR', end=8)],
     'param_scheduler.0: PolyLR counts epochs, train_cfg iterations: it '
     'would take no step; set param_scheduler.0.by_epoch=False'),
    (False, dict(type='MultiStepLR', milestones=[2]), 'take no step'),
    (True, cosine(end=6), r'6 epochs, .*max_epochs\) after 8.*end to 8$'),
    (True, cosine(end=6, convert_to_iter_based=True),
     'after 18 iterations.* after 24.*end to its length'),
    (True, poly(end=8), r'after 8 iterations, .*max_epochs\) after 24'),
])  # yapf: disable
def test_refused(toy, by_epoch, schedule, message):
    with pytest.raises(InputError, match=message):
        train(toy, schedule, by_epoch)


def test_names_the_optimizer():
    """A dict of lists, as configs with several optimizers have it."""
    from types import SimpleNamespace

    import torch
    from mmengine.config import Config
    from mmengine.optim import PolyLR

    from group_wsss.engine.runner.schedules import check_schedules
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    built = [PolyLR(optimizer, end=6)]
    runner = SimpleNamespace(
        train_loop=SimpleNamespace(max_epochs=8, max_iters=16),
        param_schedulers=dict(g=[], d=built),
        cfg=Config(dict(param_scheduler=dict(g=[], d=[poly()]))))
    with pytest.raises(InputError, match=r'^param_scheduler\.d\.0: PolyLR'):
        check_schedules(runner)


def test_resumed_schedule(toy, tmp_path):
    """mmengine resumes the ends too, whatever the config says."""
    train(toy, poly(end=4), length=4)
    with pytest.raises(InputError, match='after 4 .* after 8: .*resumed run'):
        train(toy, poly(end=8), resume=True)
    train(toy, poly(end=8), load_from=str(tmp_path / 'work' / 'iter_4.pth'))


def test_a_test_never_refuses(toy):
    schedule = poly(end=1)
    toy(kind=DataRunner,
        by_epoch=False,
        length=8,
        test=True,
        param_scheduler=schedule).test()
