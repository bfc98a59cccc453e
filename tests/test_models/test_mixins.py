# Copyright (c) group_wsss contributors. All rights reserved.
"""An mmseg segmentor with one of our components as its neck."""
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from PIL import Image

CONFIGS = Path(__file__).parents[2] / 'configs/mixins'
CLASSES = ('background', 'square', 'disc')


@pytest.fixture
def toy(tmp_path):
    """Four pictures of 48 x 64 pixels with index PNGs as masks."""
    rng = np.random.default_rng(0)
    for folder in ('img', 'mask'):
        (tmp_path / folder).mkdir()
    for i in range(4):
        mask = np.zeros((48, 64), np.uint8)
        mask[8:24, 8 + i:24 + i] = 1
        mask[30:44, 40:60] = 2
        mask[0, :] = 255
        image = rng.integers(0, 60, (48, 64, 3)) + 90 * (mask % 255)[..., None]
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f'img/{i}.jpg')
        Image.fromarray(mask).save(tmp_path / f'mask/{i}.png')
    return tmp_path


def tiny(cfg, root):
    """The same config on a CPU: narrow layers, our pictures, 3 steps."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', imdecode_backend='pillow'),
        dict(type='PackSegInputs')
    ]
    bn = dict(type='BN', requires_grad=True)
    loader = dict(
        num_workers=0,
        persistent_workers=False,
        dataset=dict(
            _delete_=True,
            type='BaseSegDataset',
            data_root=str(root),
            data_prefix=dict(img_path='img', seg_map_path='mask'),
            img_suffix='.jpg',
            seg_map_suffix='.png',
            metainfo=dict(classes=CLASSES, palette=[[0] * 3] * 3),
            pipeline=pipeline))
    change = dict(
        model=dict(
            pretrained=None,
            data_preprocessor=dict(size=(48, 64)),
            backbone=dict(
                depth=18, stem_channels=8, base_channels=8, norm_cfg=bn),
            decode_head=dict(
                in_channels=64,
                channels=8,
                num_classes=3,
                norm_cfg=bn,
                dilations=(1, 2)),
            auxiliary_head=dict(
                in_channels=32, channels=8, num_classes=3, norm_cfg=bn)),
        train_dataloader=dict(deepcopy(loader), batch_size=4),
        train_cfg=dict(max_iters=3, val_interval=3),
        optim_wrapper=dict(optimizer=dict(lr=0.05)),
        val_dataloader=dict(deepcopy(loader), batch_size=1),
        test_dataloader=dict(deepcopy(loader), batch_size=1),
        default_hooks=dict(
            checkpoint=dict(interval=3), logger=dict(interval=1)),
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        work_dir=str(root / 'work'),
        experiment_name=f'mixin_{root.name}')
    if 'in_channels' in cfg.model.neck:
        change['model']['neck'] = dict(in_channels=64, channels=16)
    cfg.merge_from_dict(change)
    return cfg


@pytest.mark.slow
@pytest.mark.parametrize('name', ['coattention', 'graph-dropout'])
def test_trains_with_one_changed_line(name, toy):
    path, = CONFIGS.glob(f'deeplabv3_*_{name}_*.py')
    cfg = Config.fromfile(path)
    base = Config.fromfile(CONFIGS.parent / 'deeplabv3' /
                           path.name.replace(f'_{name}_', '_'))
    neck = cfg.model.pop('neck')
    assert neck.type.startswith('group_wsss.')
    assert cfg.model == base.model  # nothing but the neck is new
    cfg.model.neck = neck
    with DefaultScope.overwrite_default_scope('mmseg'):
        runner = Runner.from_cfg(tiny(cfg, toy))
        model = runner.train()
    assert runner.iter == 3
    assert type(model.neck).__name__ == neck.type.split('.')[1]
    history = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(history) == 3 and np.isfinite(history).all()
    assert 'mIoU' in str(runner.message_hub.log_scalars.keys())
    if name == 'coattention':
        # it has learnt: zero at the start
        assert model.neck.expand.weight.abs().sum() > 0
        model.eval()
        x = torch.rand(2, 3, 48, 64)
        together = model.extract_feat(x)[-1]
        alone = model.extract_feat(x[:1])[-1]
        # at inference what shares the batch is no group
        torch.testing.assert_close(together[:1], alone)
