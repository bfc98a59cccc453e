# Copyright (c) group_wsss contributors. All rights reserved.
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample

from group_wsss.datasets import group_collate
from group_wsss.engine.runner import settle, settle_group_size
from group_wsss.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[3]


def config(**changes):
    data = dict(type='group_wsss.ToyImageLevel')
    cfg = Config(
        dict(
            group_size=4,
            model=dict(neck=dict(type='group_wsss.CoAttentionGNN')),
            train_dataloader=dict(
                batch_size=8,
                batch_sampler=dict(type='group_wsss.GroupBatchSampler'),
                dataset=data),
            val_dataloader=dict(
                dataset=dict(
                    type='group_wsss.GroupedDataset',
                    group_size=1,
                    dataset=data)),
            test_dataloader=dict(
                dataset=dict(type='GroupedDataset', dataset=data))))
    cfg.merge_from_dict(changes)
    return cfg


def sizes(cfg):
    loader = cfg.train_dataloader
    return (loader.batch_sampler.get('group_size'),
            loader.get('collate_fn', {}).get('group_size'),
            cfg.val_dataloader.dataset.group_size,
            cfg.test_dataloader.dataset.get('group_size'))


@pytest.mark.parametrize('changes, want', [
    (dict(), (4, 4, 1, 4)),
    (dict(test_group_size=16), (4, 4, 1, 16)),
    (dict(group_size=2, test_group_size=16), (2, 2, 1, 16)),
    (dict(group_size=1, test_group_size=16), (1, 1, 1, 1)),
    ({
        'test_dataloader.dataset.group_size': 3
    }, (4, 4, 1, 3)),
    (dict(group_size=None), (None, None, 1, None)),
])
def test_one_place(changes, want):
    cfg = config(**changes)
    settle_group_size(cfg)
    assert sizes(cfg) == want
    assert 'group_size' not in cfg.model.neck
    # of no effect twice
    settle_group_size(cfg)
    assert sizes(cfg) == want


def test_a_saved_config_follows_another_size():
    cfg = config(test_group_size=16)
    settle_group_size(cfg)
    saved = Config.fromstring(cfg.pretty_text, '.py')
    saved.group_size = 1
    settle_group_size(saved)
    assert sizes(saved) == (1, 1, 1, 1)


@pytest.mark.parametrize('changes, want', [
    (dict(), None),
    (dict(group_size=1), True),
    (dict(group_size=1, find_unused_parameters=False), False),
])
def test_ddp_may_leave_a_graph_of_one_image_out(changes, want):
    for kind in ('MMDistributedDataParallel', 'MMFullyShardedDataParallel'):
        cfg = config(**changes, model_wrapper_cfg=dict(type=kind))
        settle_group_size(cfg)
        assert cfg.get('find_unused_parameters') is want
        told = cfg.model_wrapper_cfg.get('find_unused_parameters', False)
        assert told == (want is True and 'Fully' not in kind)


@pytest.mark.parametrize('collate, want', [
    (dict(type='default_collate'), 'group_wsss.group_collate'),
    (dict(type='pseudo_collate'), 'group_wsss.group_collate'),
    (dict(type='my_collate'), 'my_collate'),
])
def test_collate_functions_of_others(collate, want):
    cfg = config()
    cfg.train_dataloader.collate_fn = collate
    settle_group_size(cfg)
    assert cfg.train_dataloader.collate_fn.type == want


def test_concat_is_made_for_one_size():
    cfg = config(**{'model.neck.aggregation': 'concat'})
    settle_group_size(cfg)
    assert cfg.model.neck.group_size == 4


@pytest.mark.parametrize('changes, words', [
    ({
        'train_dataloader.batch_sampler.group_size': 2
    }, 'batch_sampler.group_size is 2.*of the config is 4'),
    (dict(group_size=3), 'batch_size=8 is not a multiple of group_size=3'),
    (dict(group_size=0), 'group_size=0 must be'),
    (dict(group_size='4'), "group_size='4' must be"),
    (dict(test_group_size=0), 'test_group_size=0 must be'),
])
def test_one_line(changes, words):
    with pytest.raises(InputError, match=words) as caught:
        settle_group_size(config(**changes))
    assert '\n' not in str(caught.value)


def items(count):
    return [
        dict(inputs=torch.full((1, ), i), data_samples=DataSample())
        for i in range(count)
    ]


def slots(batch):
    return [sample.group_slot for sample in batch['data_samples']]


def test_collate_numbers_the_members():
    batch = group_collate(items(6), group_size=3)
    assert slots(batch) == [0, 1, 2, 0, 1, 2]
    assert torch.cat(list(batch['inputs'])).tolist() == list(range(6))
    assert slots(group_collate(items(2))) == [0, 0]
    with pytest.raises(InputError, match='5 images is no whole groups'):
        group_collate(items(5), group_size=2)


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_size_one_is_a_plain_classifier(mode):
    """``--cfg-options group_size=1`` alone, on a shipped config."""
    cfg = Config.fromfile(ROOT / 'configs/group_wsss/toy.py')
    cfg.group_size = 1
    batch = settle(cfg).train_dataloader.collate_fn
    assert batch.group_size == 1
    outs = []
    for neck in (cfg.model.neck, None):
        torch.manual_seed(0)
        model = cfg.model.copy()
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            net = MODELS.build(dict(model, neck=neck))
        net.backbone.init_weights()
        torch.manual_seed(1)
        for name, value in net.named_parameters():
            if not name.startswith('neck.'):
                torch.nn.init.normal_(value, std=.1)
        net.train(mode == 'loss')
        torch.manual_seed(2)
        data = group_collate([
            dict(
                inputs=torch.randint(0, 256, (3, 32, 32)).float(),
                data_samples=DataSample().set_gt_label([i % 6]))
            for i in range(4)
        ], **{
            k: v
            for k, v in batch.items() if k != 'type'
        })
        data = net.data_preprocessor(data, mode == 'loss')
        out = net(**data, mode=mode)
        outs.append(out if mode == 'loss' else {
            i: sample.class_maps
            for i, sample in enumerate(out)
        })
    assert outs[0].keys() == outs[1].keys()
    for key, value in outs[0].items():
        assert torch.equal(value, outs[1][key])
