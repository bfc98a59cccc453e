# Copyright (c) group_wsss contributors. All rights reserved.
from contextlib import nullcontext

import pytest
import torch
from mmengine.hooks import EarlyStoppingHook
from mmengine.structures import BaseDataElement
from mmpretrain.evaluation import MultiLabelMetric

from group_wsss.contrib.reliability import RandomStateHook
from group_wsss.engine import WeakSupervisionHook
from group_wsss.engine.supervision import follows_tags
from group_wsss.evaluation.metrics import CAMIoU
from group_wsss.utils.errors import InputError


def loader(name):
    """A transform of this name."""
    return type(name, (), {})()


class Nested:

    def __init__(self, *transforms):
        self.transforms = list(transforms)


def test_a_clean_training_is_left_alone(toy):
    model = toy.model()
    toy([WeakSupervisionHook()], length=1, model=model).train()
    assert model.step == 3


@pytest.mark.parametrize('name', [
    'LoadAnnotations', 'LoadBiomedicalAnnotation', 'LoadBiomedicalData',
    'LoadDepthAnnotation', 'LoadPanopticAnnotations', 'LoadMask',
    'LoadLabelImage'
])
@pytest.mark.parametrize('wrapped', (False, True))
def test_loading_masks(toy, name, wrapped):
    dataset = toy.dataset()
    dataset.pipeline = Nested(Nested(loader('LoadImage'), loader(name)))
    if wrapped:
        inner, dataset = dataset, toy.dataset()
        dataset.datasets = [inner]
    model = toy.model()
    with pytest.raises(InputError, match=name):
        toy([WeakSupervisionHook()], dataset=dataset, model=model).train()
    assert model.step == 0


@pytest.mark.parametrize('field', ['seg_map_path', 'mask_path', 'gt_masks'])
def test_an_entry_that_knows_a_mask(toy, field):
    """Any of them, not the first alone."""

    class Knowing(toy.dataset):

        def get_data_info(self, i):
            return dict(img_path='x.jpg', **{field: 'x.png' if i == 4 else ''})

    with pytest.raises(InputError, match=f'Knowing.*{field}.*x.png'):
        toy([WeakSupervisionHook()], dataset=Knowing()).train()
    toy([WeakSupervisionHook([field])], dataset=Knowing()).train()


MASK = torch.zeros(2, 2, dtype=torch.long)


@pytest.mark.parametrize('workers, name, told', [
    *((0, name, name) for name in ('gt_sem_seg', 'gt_seg_map', 'gt_masks',
                                   'of_my_own', 'mask_path', 'mask')),
    (0, 'gt_label', r'gt_label of shape \(2, 2\)'),
    (2, 'gt_masks', 'gt_masks'),
    (2, 'mask', 'mask'),
])  # yapf: disable
def test_a_sample_that_carries_a_mask(toy, workers, name, told):

    class Carrying(toy.dataset):

        def __getitem__(self, i):
            item = super().__getitem__(i)
            # a collate function looks for the names that the first one has
            if name == 'mask':
                return dict(item, mask=MASK)
            if i == 4 and name == 'mask_path':
                item['data_samples'].set_metainfo({name: 'x.png'})
            elif i == 4:
                item['data_samples'].set_field(MASK, name)
            return item

    model = toy.model()
    runner = toy(
        [WeakSupervisionHook(), RandomStateHook()],
        dataset=Carrying(),
        batch_size=6,
        model=model,
        workers=workers)
    with pytest.raises(InputError, match=f'carry {told}, which'):
        runner.train()
    assert model.step == 0


def test_lists_of_samples():
    """As groups and augmentations come, at any depth."""
    good = dict(inputs=MASK, data_samples=BaseDataElement(seeds=MASK))
    bad = dict(inputs=MASK, data_samples=[BaseDataElement(gt_masks=MASK)])
    hook = WeakSupervisionHook()
    hook.before_train_iter(None, 0, [good, (good, [good])])
    for batch in ([good, bad], dict(inputs=[good], data_samples=[[bad]])):
        with pytest.raises(InputError, match='gt_masks'):
            hook.before_train_iter(None, 0, batch)
        WeakSupervisionHook(['gt_masks']).before_train_iter(None, 0, batch)


@pytest.mark.parametrize('workers', [0, 2])
def test_what_our_batches_carry(toy, workers):
    """Also the state of a worker, whichever hook comes first."""
    for order in (1, -1):
        hooks = [WeakSupervisionHook(), RandomStateHook()][::order]
        toy(hooks, length=1, workers=workers).train()


def validation(*metrics):
    """What the hook asks a runner for, with these metrics."""
    return [
        type(name, (MultiLabelMetric if tags else object, ),
             dict(prefix=prefix, __init__=lambda self: None))()
        for name, prefix, tags in metrics
    ]


MASKS = ('IoUMetric', None, False)
TAGS = ('AveragePrecision', 'multi-label', True)


@pytest.mark.parametrize('name, metrics, good', [
    *((name, None, False) for name in (
        'cam/mIoU', 'mIoU', 'mDice', 'dice', 'mFscore', 'mPrecision',
        'mRecall', 'aAcc', 'mAcc', 'pseudo/IoU', 'boundary/F')),
    ('auto', None, True),
    ('loss', [MASKS], True),
    ('multi-label/mAP', None, True),
    ('accuracy/top1', None, True),
    ('multi-label/mAP', [MASKS, TAGS], True),
    ('multi-label/mIoU', [('IoUMetric', 'multi-label', False)], False),
    ('mine/mAP', [('Mine', 'mine', True)], True),
    ('auto', [TAGS, MASKS], True),
    ('auto', [MASKS, TAGS], False),
    ('mFscore', [TAGS, MASKS], False),
])  # yapf: disable
def test_metrics_of_tags(name, metrics, good):
    if metrics is not None:
        metrics = validation(*metrics)
    assert follows_tags(name, metrics) is good


def best(name):
    return dict(checkpoint=dict(interval=1, save_best=name, rule='greater'))


def plateau(name):
    schedule = dict(type='ReduceOnPlateauLR', monitor=name)
    return dict(param_scheduler=[schedule])


@pytest.mark.parametrize('options, key', [
    (best('mFscore'), 'CheckpointHook.save_best'),
    (best(['toy/x', 'dice']), 'CheckpointHook.save_best'),
    (best('multi-label/mAP'), None),
    (best('loss'), None),
    (plateau('cam/mIoU'), 'ReduceOnPlateauLR.monitor'),
    (plateau('loss'), None),
    (dict(stop='cam/best_mIoU'), 'EarlyStoppingHook.monitor'),
])
def test_choosing_by_masks(toy, options, key):
    hooks, options = [WeakSupervisionHook()], dict(options)
    if 'stop' in options:
        hooks.append(
            EarlyStoppingHook(monitor=options.pop('stop'), rule='greater'))
    model = toy.model()
    runner = toy(hooks, length=1, model=model, **options)
    with pytest.raises(InputError, match=key) if key else nullcontext():
        runner.train()
    assert model.step == (0 if key else 3)


@pytest.mark.parametrize('first, good', [(CAMIoU, False),
                                         (MultiLabelMetric, True)])
def test_the_first_metric_of_a_validation(toy, first, good):
    """``save_best='auto'`` follows it."""
    metric = CAMIoU('masks') if first is CAMIoU else MultiLabelMetric()
    runner = toy([WeakSupervisionHook()],
                 length=1,
                 checkpoint=dict(interval=1, save_best='auto'),
                 val_evaluator=[metric],
                 val_cfg=dict(),
                 val_dataloader=dict(
                     batch_size=1,
                     num_workers=0,
                     dataset=toy.dataset(),
                     sampler=dict(type='DefaultSampler', shuffle=False)))
    if not good:
        with pytest.raises(InputError, match="save_best='auto'"):
            runner.train()
        return
    runner._val_loop = runner.build_val_loop(runner._val_loop)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    WeakSupervisionHook().before_train(runner)
