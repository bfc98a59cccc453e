# Copyright (c) group_wsss contributors. All rights reserved.
"""The configs of configs/affinity: trained on seeds, never on masks."""
import json
import re
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from group_wsss.pseudo_labels.refiners.random_walk import RandomWalk
from group_wsss.registry import DATASETS, MODELS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs/affinity').glob('*.py'))
TINY = dict(
    type='mmpretrain.ResNet',
    depth=18,
    stem_channels=8,
    base_channels=8,
    out_indices=(0, 1, 2, 3))

CROP = (64, 64)


def stem(path):
    return path.stem


@pytest.fixture
def data(tiny_voc, tmp_path, monkeypatch):
    """Eight images with tags and seeds; masks that are garbage."""
    root, dump = tmp_path / 'voc', tmp_path / 'seeds'
    shutil.copytree(tiny_voc, root)
    dump.mkdir()
    (dump / 'manifest.json').write_text(
        json.dumps(
            dict(
                classes=['background', *'abcd'],
                labeler=dict(type='ThresholdLabeler'))))
    stems = []
    for path in (root / 'SegmentationClass').iterdir():
        shutil.copy(path, dump)
        stems.append(path.stem)
        path.write_bytes(b'this is no mask')
    (dump / 'ids.txt').write_text('\n'.join(stems) + '\n')
    tags = (root / 'ImageSets/train_cls.txt').read_text()
    (root / 'ImageSets/Segmentation/trainaug_cls.txt').write_text(tags)
    images = []
    for line in tags.splitlines():
        name, *labels = line.split()
        images.append(
            dict(
                id=name,
                path=f'JPEGImages/{name}.jpg',
                labels=list(map(int, labels))))
    (root / 'labels.json').write_text(
        json.dumps(dict(classes=list('abcd'), images=images)))
    monkeypatch.setenv('DATA_ROOT', str(root))
    monkeypatch.setenv('TRAIN_LIST', 'ImageSets/train_cls.txt')
    monkeypatch.setenv('PSEUDO_DIR', str(dump))
    return tmp_path


@pytest.fixture
def load(data, monkeypatch):

    def refuse(*args, **kwargs):
        raise AssertionError('a test of configs wants the network')

    monkeypatch.setattr(socket.socket, 'connect', refuse)

    def do(path):
        if 'custom' in path.stem:  # its list names the classes
            monkeypatch.setenv('TRAIN_LIST', 'labels.json')
        cfg = Config.fromfile(path)
        cfg.train_dataloader.dataset.data_root = str(data / 'voc')
        cfg.model.backbone.pop('init_cfg', None)
        if cfg.model.backbone.type == 'group_wsss.EffNetLite0':
            pytest.importorskip('timm')
            cfg.model.backbone.weights = None
        for step in cfg.train_dataloader.dataset.pipeline:
            if step.type == 'RandomResize':
                step.scale = (256, 96)
            elif step.type == 'RandomCrop':
                step.crop_size = CROP
            elif step.type == 'Pad':
                step.size = CROP
        return cfg

    return do


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=stem)
def test_a_step(path, load):
    torch.manual_seed(0)
    np.random.seed(0)
    cfg = load(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model).train()
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        batch = [dataset[i] for i in (0, 1)]
    for item in batch:
        assert item['inputs'].shape == (3, *CROP)
        values = set(item['data_samples'].seeds.data.unique().tolist())
        assert values <= {0, 1, 2, 255} and len(values) > 1
    data = dict(
        inputs=[item['inputs'] for item in batch],
        data_samples=[item['data_samples'] for item in batch])
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total)
    trained = {n for n, p in model.named_parameters() if p.grad is not None}
    assert trained and all(name.startswith('head.') for name in trained)
    # eight pixels a cell
    embedding = model(torch.rand(2, 3, 64, 96))
    assert embedding.shape[-2:] == (8, 12)


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=stem)
def test_sees_no_masks(path):
    cfg = Config.fromfile(path)
    for text in ('SegmentationClass', 'Annotations', 'save_best', 'seg_map'):
        assert text not in cfg.dump(), text
    hook = cfg.default_hooks.weak_supervision
    assert hook == dict(type='group_wsss.WeakSupervisionHook')
    assert cfg.custom_imports.imports == ['group_wsss']
    assert 'val_dataloader' not in cfg and 'test_dataloader' not in cfg
    assert 'end' not in cfg.param_scheduler[0]


@pytest.mark.slow
def test_train_and_refine(data, load, call_tool, capsys):
    """From seeds to better maps by the command line and a config."""
    cfg = load(*(p for p in CONFIGS if 'voc-layout' in p.stem))
    cfg.model.backbone = TINY
    cfg.model.head.update(
        in_channels=(8, 16, 32, 64), grid_index=0, channels=16)
    config = data / 'small.py'
    cfg.dump(config)
    work = data / 'work'
    call_tool('train', config, '--work-dir', work, '--cfg-options',
              'train_cfg.max_iters=12', 'default_hooks.checkpoint.interval=12',
              'default_hooks.logger.interval=4', 'model.freeze_backbone=False',
              'train_dataloader.num_workers=0',
              'train_dataloader.persistent_workers=False')
    out = capsys.readouterr().out
    losses = [float(x) for x in re.findall(r' loss: ([\d.]+)', out)]
    assert len(losses) >= 3 and losses[-1] < losses[0]
    checkpoint = work / 'iter_12.pth'
    assert f"checkpoint='{checkpoint}'" in out
    walk = RandomWalk(
        str(work / 'small.py'), str(checkpoint), num_steps=16, device='cpu')
    image = Image.open(data / 'voc/JPEGImages/tiny_0.jpg')
    maps = np.zeros((1, 5, 6), np.float32)
    maps[0, 2, 2] = 1
    refined = walk.refine(maps, np.asarray(image))
    assert refined.shape == (1, 10, 12) and np.ptp(refined) > 0.02


@pytest.mark.slow
def test_a_folder_of_masks_is_refused(data, call_tool, capsys):
    (data / 'seeds/manifest.json').unlink()
    path, = (p for p in CONFIGS if 'voc-layout' in p.stem)
    pytest.importorskip('timm')
    with pytest.raises(SystemExit) as caught:
        call_tool('train', path, '--work-dir', data / 'work', '--cfg-options',
                  'model.backbone.weights=None')
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert error.count('\n') == 1 and 'seeds: no manifest.json' in error


def test_readme_names_every_config():
    text = (ROOT / 'configs/affinity/README.md').read_text()
    for path in CONFIGS:
        assert f'({path.name})' in text
    for link in re.findall(r'\]\(([^)#]+)\)', text):
        if not link.startswith('http'):
            assert (ROOT / 'configs/affinity' / link).exists(), link
