# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
import torch
from mmengine.hooks import EarlyStoppingHook

from group_wsss.engine import WeakSupervisionHook
from group_wsss.utils.errors import InputError


class LoadAnnotations:
    pass


class Nested:

    def __init__(self, *transforms):
        self.transforms = list(transforms)


def test_a_clean_training_is_left_alone(toy):
    model, dataset = toy.model(), toy.dataset()
    toy([WeakSupervisionHook()], length=1, model=model,
        dataset=dataset).train()
    assert model.step == 3


@pytest.mark.parametrize('wrapped', (False, True))
def test_loading_masks(toy, wrapped):
    dataset = toy.dataset()
    dataset.pipeline = Nested(Nested(LoadAnnotations()))
    if wrapped:

        class Wrapper(toy.dataset):
            pass

        outer = Wrapper()
        outer.datasets = [dataset]
        dataset = outer
    model = toy.model()
    with pytest.raises(InputError, match='LoadAnnotations'):
        toy([WeakSupervisionHook()], dataset=dataset, model=model).train()
    assert model.step == 0


def test_entries_that_know_a_mask(toy):

    class Knowing(toy.dataset):

        def get_data_info(self, i):
            return dict(img_path='x.jpg', seg_map_path='x.png')

    with pytest.raises(InputError, match='Knowing.*seg_map_path.*x.png'):
        toy([WeakSupervisionHook()], dataset=Knowing()).train()


@pytest.mark.parametrize('field', ('gt_sem_seg', 'gt_seg_map'))
def test_samples_that_carry_a_mask(toy, field):

    class Carrying(toy.dataset):

        def __getitem__(self, i):
            item = super().__getitem__(i)
            item['data_samples'].set_field(torch.zeros(2, 2), field)
            return item

    with pytest.raises(InputError, match=field):
        toy([WeakSupervisionHook()], dataset=Carrying()).train()


@pytest.mark.parametrize('name, good',
                         (('cam/mIoU', False), ('mIoU', False),
                          (['toy/x', 'pseudo/IoU'], False),
                          ('multi-label/mAP', True), ('loss', True)))
def test_choosing_a_checkpoint_by_masks(toy, name, good):
    checkpoint = dict(interval=1, save_best=name, rule='greater')
    model = toy.model()
    runner = toy([WeakSupervisionHook()],
                 length=1,
                 model=model,
                 checkpoint=checkpoint)
    if good:
        runner.train()
        assert model.step == 3
        return
    with pytest.raises(InputError, match='CheckpointHook.save_best'):
        runner.train()
    assert model.step == 0


def test_stopping_by_masks(toy):
    stopping = EarlyStoppingHook(monitor='cam/best_mIoU', rule='greater')
    with pytest.raises(InputError, match='EarlyStoppingHook.monitor'):
        toy([WeakSupervisionHook(), stopping]).train()


def test_looking_draws_no_random_number(toy):

    class Drawing(toy.dataset):

        def __getitem__(self, i):
            np.random.rand()
            torch.rand(1)
            return super().__getitem__(i)

    dataset = Drawing()
    np.random.seed(0)
    torch.manual_seed(0)
    WeakSupervisionHook._check_sample(dataset)
    got = np.random.rand(), torch.rand(1).item()
    np.random.seed(0)
    torch.manual_seed(0)
    assert got == (np.random.rand(), torch.rand(1).item())
