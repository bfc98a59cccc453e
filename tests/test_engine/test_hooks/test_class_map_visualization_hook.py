# Copyright (c) group_wsss contributors. All rights reserved.
import copy
import random
import shutil
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from group_wsss.contrib.summaries import ClassMapVisualizationHook
from group_wsss.contrib.summaries.fixed_groups import (eval_pipeline,
                                                       find_places)
from group_wsss.contrib.summaries.intervals import report_interval
from group_wsss.contrib.summaries.undisturbed import undisturbed
from group_wsss.engine.runner import DataRunner
from group_wsss.models import FeatureCache, GraphDropout
from group_wsss.utils.errors import InputError

CONFIG = Path(__file__).parents[2] / 'configs' / 'tiny_group_cam.py'


class Watch(Hook):
    """What a training saw and how it stands after every iteration."""

    priority = 'LOWEST'

    def __init__(self):
        self.order, self.seen = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.order.append([s.img_id for s in data_batch['data_samples']])

    def _remember(self, runner, loss=None):
        self.seen.append((loss, random.getstate(), str(np.random.get_state()),
                          torch.get_rng_state().tolist(),
                          [m.training for m in runner.model.modules()]))

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self._remember(runner, float(outputs['loss']))

    def after_train_epoch(self, runner):
        self._remember(runner)


@pytest.fixture
def root(tiny_voc, tmp_path, monkeypatch):
    """The tiny VOC folder without any mask."""
    root = tmp_path / 'voc'
    shutil.copytree(tiny_voc / 'JPEGImages', root / 'JPEGImages')
    shutil.copytree(tiny_voc / 'ImageSets', root / 'ImageSets')
    monkeypatch.setenv('DATA_ROOT', str(root))
    monkeypatch.setattr(Runner, '_log_env', lambda *args: None)
    return root


@pytest.fixture
def make(root, tmp_path):
    """A runner of the tiny config, two epochs or some iterations."""

    def do(name, hook=None, epochs=2, iters=None, cache=False):
        cfg = Config.fromfile(CONFIG)
        cfg.default_hooks.pop('pseudo_labels', None)
        cfg.default_hooks.class_maps = dict(
            type='group_wsss.ClassMapVisualizationHook', **(hook or {}))
        if cache:
            cfg.model.freeze_backbone = True
            cfg.model.backbone = dict(
                type='group_wsss.FeatureCache',
                max_bytes=12 * 64 * 32 * 32,
                backbone=cfg.model.backbone)
        if iters is None:
            cfg.train_cfg = dict(by_epoch=True, max_epochs=epochs)
            cfg.train_dataloader.sampler.type = 'DefaultSampler'
            cfg.log_processor = dict(by_epoch=True)
        else:
            cfg.train_cfg.max_iters = iters
        cfg.work_dir = str(tmp_path / name)
        # one visualizer for each name in a process
        cfg.experiment_name = cfg.visualizer.name = f'{name}_{tmp_path.name}'
        cfg.default_hooks.checkpoint.interval = 1000
        runner = DataRunner.from_cfg(cfg)
        watch = Watch()
        runner.register_hook(watch)
        return runner, watch

    return do


@pytest.fixture
def train(make):
    """The same, trained."""

    def do(*args, **kwargs):
        runner, watch = make(*args, **kwargs)
        runner.train()
        return runner, watch

    return do


def sheets(runner):
    folder = Path(runner.log_dir) / 'vis_data' / 'vis_image'
    return {path.name: path for path in folder.glob('*')}


def tensors(runner):
    """Weights and momenta."""
    state = runner.optim_wrapper.optimizer.state_dict()['state']
    momenta = {key: part['momentum_buffer'] for key, part in state.items()}
    assert momenta
    return {**runner.model.state_dict(), **momenta}


def cache_of(runner):
    for module in runner.model.modules():
        if isinstance(module, FeatureCache):
            return (module.hits, module.misses, module.bytes,
                    list(module._maps))
    return None


@pytest.mark.slow
@pytest.mark.parametrize('cache', (False, True))
def test_training_is_the_same_bit_for_bit(train, cache):
    # a transform of testing that draws numbers, a graph that does too
    noisy = [
        dict(type='group_wsss.LoadImage'),
        dict(type='Resize', scale=(64, 64), keep_ratio=False),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='PackInputs', meta_keys=('img_id', 'ori_shape'))
    ]
    first, one = train('off', dict(interval=0), cache=cache)
    second, two = train('on', dict(pipeline=noisy), cache=cache)
    assert any(isinstance(m, GraphDropout) for m in first.model.modules())
    assert not sheets(first)
    assert sorted(sheets(second)) == ['class_maps_1.png', 'class_maps_2.png']
    assert one.order == two.order and len(one.order) == 8
    assert one.seen == two.seen
    left, right = tensors(first), tensors(second)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name
    assert cache_of(first) == cache_of(second)
    if cache:
        assert all(cache_of(first))


class Sticky(torch.nn.Linear):
    """``train()`` does more than to set the mode."""

    calls = 0

    def train(self, mode=True):
        self.calls += 1
        return super().train(mode)


def test_undisturbed_puts_everything_back():
    inner = torch.nn.Sequential(torch.nn.BatchNorm1d(2))
    sticky = Sticky(1, 1)
    cache = FeatureCache.__new__(FeatureCache)
    torch.nn.Module.__init__(cache)
    cache._maps = OrderedDict(a=1, b=2)
    cache._weights, cache.hits, cache.misses, cache.bytes = (7, ), 1, 2, 3
    model = torch.nn.ModuleList([inner, cache, sticky])
    inner[0].eval()  # a frozen part of a model that trains
    before = [m.training for m in model.modules()]

    def draw():
        return random.random(), np.random.random(), torch.rand(1).item()

    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = draw()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    with pytest.raises(KeyError):
        with undisturbed(model):
            assert not torch.is_grad_enabled()
            draw()
            model.eval()
            sticky.calls = 0
            cache._maps.move_to_end('a')
            cache._maps['c'] = 3
            cache.hits = cache.misses = cache.bytes = 9
            cache._weights = ()
            raise KeyError
    assert torch.is_grad_enabled() and sticky.calls == 0
    assert draw() == expected
    assert [m.training for m in model.modules()] == before
    assert list(cache._maps.items()) == [('a', 1), ('b', 2)]
    assert (cache.hits, cache.misses, cache.bytes) == (1, 2, 3)
    assert cache._weights == (7, )


@pytest.mark.slow
def test_same_images_in_the_same_groups(train, root, monkeypatch):
    lists = root / 'ImageSets/train_cls.txt'
    lines = lists.read_text().split('\n')[:8]
    # another order, and one without a tag
    lines[0] = 'tiny_0'
    lists.write_text('\n'.join(lines[::-1]) + '\n')
    seen = []
    look = ClassMapVisualizationHook._look

    def spy(hook, model, group):
        assert not any(m.training for m in model.modules())
        seen.append([item['data_samples'].img_id for item in group.items] +
                    [item['inputs'].sum().item() for item in group.items])
        assert [i['data_samples'].group_slot for i in group.items] == [0, 1]
        return look(hook, model, group)

    monkeypatch.setattr(ClassMapVisualizationHook, '_look', spy)
    train('w', dict(num_images=3), epochs=3)
    assert [row[0] for row in seen] == ['tiny_1', 'tiny_2', 'tiny_3'] * 3
    assert seen[:3] == seen[3:6] == seen[6:]
    for row in seen:  # class is number modulo 4
        assert row[0] != row[1]
        assert int(row[0][-1]) % 4 == int(row[1][-1]) % 4


@pytest.mark.slow
def test_when(train):
    runner, _ = train('a', dict(interval=2), epochs=3)
    assert sorted(sheets(runner)) == ['class_maps_2.png', 'class_maps_3.png']
    # 8 images as anchors, two groups a batch: 4 iterations
    runner, _ = train('b', iters=6)
    assert report_interval(runner) == 4
    assert sorted(sheets(runner)) == ['class_maps_4.png', 'class_maps_6.png']


def test_places():
    infos = [
        dict(img_path=f'a/{name}.jpg', gt_label=labels)
        for name, labels in (('d', [1]), ('a', []), ('c', [0, 2]), ('b', 1),
                             ('a', [1]))
    ]
    data = type('Data', (), dict(
        __len__=lambda self: len(infos),
        get_data_info=lambda self, i: infos[i]))()  # yapf: disable
    # by id, with a tag
    assert find_places(data, 2) == [4, 3]
    assert find_places(data, 9) == [4, 3, 2, 0]
    assert find_places(data, image_ids=['c', 'd']) == [2, 0]
    assert find_places(data, image_ids=['a']) == [1]  # the first of the name
    assert find_places(data, indices=[3, 0]) == [3, 0]
    for info in infos:
        info['gt_label'] = np.zeros(0, np.int64)
    with pytest.raises(InputError, match='no image .* has a tag'):
        find_places(data)


@pytest.mark.parametrize('options, message', (
    (dict(image_ids=[]), 'image_ids of .* is empty'),
    (dict(image_ids=['a'], indices=[0]), 'image_ids or indices'),
    (dict(image_ids=[2007_000032]), '2007000032 is no string'),
    (dict(interval=-1), 'interval of .* is -1, must be >= 0'),
    (dict(num_images=0), 'num_images of .* is 0, must be >= 1'),
    (dict(side=0), 'side of .* is 0, must be >= 32'),
))
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        ClassMapVisualizationHook(**options)


@pytest.mark.slow
def test_bad_ids_are_told_before_training(make):
    runner, watch = make('w', dict(image_ids=['tiny_1', 'nobody']))
    with pytest.raises(InputError) as caught:
        runner.train()
    assert str(caught.value) == ('ClassMapVisualizationHook: image_ids: '
                                 "'nobody' is not in the training list")
    assert not watch.order
    for place in (8, -1):
        hook = ClassMapVisualizationHook(indices=[place])
        with pytest.raises(InputError, match=f'{place} is not in 0..7'):
            hook.before_train(runner)


def test_damaged_image(make, root):
    """Asked for: refused. Not asked for: left out, training decides."""
    (root / 'JPEGImages/tiny_2.jpg').write_bytes(b'x')
    runner, _ = make('w')
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    with pytest.raises(InputError, match='tiny_2.jpg'):
        ClassMapVisualizationHook(image_ids=['tiny_2']).before_train(runner)
    hook = ClassMapVisualizationHook()
    hook.before_train(runner)
    shown = [group.img_id for group in hook._groups]
    # it is the only partner of tiny_6
    assert shown == [f'tiny_{i}' for i in (0, 1, 3, 4, 5, 7)]


@pytest.mark.slow
def test_no_maps_do_not_stop_a_training(train, monkeypatch):
    """Neither a model that has none, nor one that has diverged."""

    def nothing(hook, model, group):
        raise InputError('class maps hold NaN')

    monkeypatch.setattr(ClassMapVisualizationHook, '_look', nothing)
    runner, watch = train('w', epochs=1)
    assert len(watch.order) == 4 and not sheets(runner)
    log = next(Path(runner.log_dir).glob('*.log')).read_text()
    assert ('no class maps of epoch 1 are drawn: class maps hold NaN' in log)


def test_nothing_to_test_with(toy):
    """A data set and a runner without all that the hook would like."""
    model = toy.model()
    toy([ClassMapVisualizationHook()], length=1, model=model).train()
    assert model.step == 3


def test_pipeline_reads_no_annotations(root):
    cfg = Config.fromfile(CONFIG)
    steps = copy.deepcopy(cfg.test_pipeline)
    steps.insert(1, dict(type='mmseg.LoadAnnotations'))
    steps.insert(1, dict(type='LoadAnnotations'))
    cfg.test_dataloader.dataset.dataset.pipeline = steps
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        names = [type(t).__name__ for t in eval_pipeline(cfg).transforms]
    assert names == ['LoadImage', 'Resize', 'PackInputs']
    cfg.test_dataloader = cfg.val_dataloader = None
    with pytest.raises(InputError, match='has a pipeline'):
        eval_pipeline(cfg)
