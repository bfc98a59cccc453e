# Copyright (c) group_wsss contributors. All rights reserved.
"""A tiny stage 1: images with tags, and weights."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

from group_wsss.datasets import VOC_CLASSES

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'tiny_group_cam.py'
NUM_IMAGES = 6


def tags_of(i):
    return [i % 3] + [i % 3 + 1] * (i % 2)


@pytest.fixture(scope='session')
def photo_root(tmp_path_factory):
    """Images of different size, one or two classes in each."""
    folder = tmp_path_factory.mktemp('apis')
    (folder / 'JPEGImages').mkdir()
    rng = np.random.default_rng(5)
    lines = []
    for i in range(NUM_IMAGES):
        rough = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
        Image.fromarray(rough).resize(
            (40 + 9 * i, 90 - 8 * i),
            Image.BILINEAR).save(folder / 'JPEGImages' / f'n{i}.jpg')
        lines.append(' '.join(map(str, [f'n{i}', *tags_of(i)])))
    (folder / 'list.txt').write_text('\n'.join(lines) + '\n')
    return folder


@pytest.fixture(autouse=True)
def settings(photo_root, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', str(photo_root))
    monkeypatch.setenv('TRAIN_LIST', 'list.txt')


@pytest.fixture(scope='session')
def weights(photo_root, tmp_path_factory):
    """Weights with class maps large enough to tell images apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DATA_ROOT', str(photo_root))
        patch.setenv('TRAIN_LIST', 'list.txt')
        cfg = Config.fromfile(CONFIG)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        net = MODELS.build(cfg.model)
    torch.nn.init.normal_(net.head.classifier.weight)
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    torch.save(
        dict(
            state_dict=net.state_dict(),
            meta=dict(dataset_meta=dict(classes=VOC_CLASSES))), path)
    return path
