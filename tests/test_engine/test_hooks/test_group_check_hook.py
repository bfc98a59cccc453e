# Copyright (c) group_wsss contributors. All rights reserved.
from types import SimpleNamespace

import pytest
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler

from group_wsss.engine import GroupCheckHook
from group_wsss.utils.errors import InputError


@DATA_SAMPLERS.register_module()
class ToyGroupedBatches(BatchSampler):

    def __init__(self, sampler, batch_size, group_size):
        super().__init__(sampler, batch_size, drop_last=False)
        self.group_size = group_size


@pytest.mark.parametrize('drawn, model_size, good',
                         ((None, 1, True), (None, 2, False), (2, 2, True),
                          (3, 2, False), (2, 1, False)))
def test_sizes_must_agree(toy, drawn, model_size, good):
    model = toy.model(model_size)
    runner = toy([GroupCheckHook()], length=1, model=model)
    if drawn:
        runner._train_dataloader['batch_sampler'] = dict(
            type='ToyGroupedBatches', group_size=drawn)
    if good:
        runner.train()
        assert model.step == 3
        return
    with pytest.raises(InputError) as caught:
        runner.train()
    message = str(caught.value)
    assert f'batch_sampler.group_size is {drawn or 1}' in message
    assert f'model.group_size is {model_size}' in message
    assert model.step == 0


def test_model_inside_a_wrapper(toy):
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    wrapper.__dict__['_modules'] = {'module': toy.model(4)}
    loader = SimpleNamespace(batch_sampler=SimpleNamespace(group_size=3))
    runner = SimpleNamespace(
        model=wrapper, train_loop=SimpleNamespace(dataloader=loader))
    with pytest.raises(InputError, match='model.group_size is 4'):
        GroupCheckHook().before_train(runner)
