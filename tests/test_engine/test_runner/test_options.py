# Copyright (c) group_wsss contributors. All rights reserved.
"""Options that cannot work end in one line with their key."""
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from group_wsss.engine.runner import DataRunner
from group_wsss.engine.runner.options import (check_data, check_loaders,
                                              check_training)
from group_wsss.utils.errors import InputError

WEIGHT = 'model.decode_head.0.loss_decode.1.class_weight'


def config(**changes):
    loss = dict(type='CrossEntropyLoss')
    cfg = Config(
        dict(
            model=dict(
                data_preprocessor=dict(size=(64, 64)),
                backbone=dict(num_classes=1),
                decode_head=[
                    dict(num_classes=4, loss_decode=[loss, dict(loss)])
                ]),
            train_dataloader=dict(batch_size=2, dataset=dict(data_root='x')),
            train_cfg=dict(max_iters=4)))
    cfg.merge_from_dict(changes)
    return cfg


def check(cfg):
    check_loaders(cfg, ['train_dataloader', 'val_dataloader'])
    check_training(cfg)


@pytest.mark.parametrize('changes, message', [
    ({'train_dataloader.persistent_workers': True},
     'train_dataloader.persistent_workers=True needs '
     'train_dataloader.num_workers > 0'),
    ({'train_dataloader.prefetch_factor': 2}, 'prefetch_factor=2 needs'),
    ({'val_dataloader': dict(persistent_workers=True, num_workers=0)},
     'val_dataloader.persistent_workers'),
    ({'train_dataloader.num_workers': -1}, 'train_dataloader.num_workers=-1'),
    ({'train_dataloader.batch_size': 0}, 'train_dataloader.batch_size=0 must'),
    ({'train_cfg.max_iters': 2.5}, 'train_cfg.max_iters=2.5 must be a whole'),
    ({'model.decode_head.0.ignore_index': 0},
     r'model.decode_head.0.ignore_index=0: label images hold 255'),
    ({WEIGHT: [1., 2., 3.]},
     f'{WEIGHT} has 3 numbers, the head 4 classes'),
])  # yapf: disable
def test_refused(changes, message):
    with pytest.raises(InputError, match=message):
        check(config(**changes))


@pytest.mark.parametrize('changes', [
    {},
    {'train_dataloader.persistent_workers': True,
     'train_dataloader.num_workers': 2},
    {WEIGHT: [1., 2., 3., 4.], 'model.decode_head.0.ignore_index': 255},
    {WEIGHT: 'weights.npy'},
    # own label images, own unknown
    {'model.decode_head.0.ignore_index': 0,
     'model.data_preprocessor.seg_pad_val': 0},
])  # yapf: disable
def test_runs(changes):
    check(config(**changes))


def test_dump_without_padding(tmp_path):
    """The dump's manifest tells that its label images hold 255."""
    cfg = config(**{'model.decode_head.0.ignore_index': 0})
    del cfg.model.data_preprocessor
    cfg.train_dataloader.dataset = dict(
        data_root=str(tmp_path), data_prefix=dict(seg_map_path='dump'))
    check(cfg)
    (tmp_path / 'dump').mkdir()
    (tmp_path / 'dump' / 'manifest.json').write_text('{}')
    with pytest.raises(InputError, match='ignore_index=0'):
        check(cfg)


class LoadAnnotations:
    pass


class Data(list):
    metainfo = dict(classes='abcd')
    pipeline = SimpleNamespace(transforms=[LoadAnnotations()])

    def get_data_info(self, i):
        return dict(seg_map_path=self[i])


def test_data(tmp_path):
    for name in 'ab':
        (tmp_path / name).write_text('')
    here = Data([f'{tmp_path}/a', f'{tmp_path}/b'])
    loops = [
        SimpleNamespace(dataloader=SimpleNamespace(dataset=data))
        for data in (here, Data([f'{tmp_path}/a', f'{tmp_path}/c']))
    ]
    runner = SimpleNamespace(
        train_loop=loops[0], val_loop=loops[0], cfg=config())
    check_data(runner)
    runner.val_loop = loops[1]
    with pytest.raises(InputError, match=r'/c: .*\(1 of 2 of val_dataloader'):
        check_data(runner)
    runner.cfg.model.decode_head[0].num_classes = 3
    with pytest.raises(InputError, match='decode_head.0.num_classes is 3'):
        check_data(runner)


@pytest.mark.parametrize('command, name', [('train', 'train_dataloader'),
                                           ('test', 'test_dataloader')])
def test_the_runner_asks(toy, command, name):
    bad = dict(persistent_workers=True)
    runner = toy(kind=DataRunner, test=True, cfg={name: bad})
    with pytest.raises(InputError, match=f'{name}.persistent_workers'):
        getattr(runner, command)()


def test_the_runner_looks_at_its_data(toy):
    with pytest.raises(InputError, match='head.num_classes is 2, train'):
        toy(kind=DataRunner, cfg=dict(model=dict(head=dict(
            num_classes=2)))).train()
