# Copyright (c) group_wsss contributors. All rights reserved.
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from group_wsss.utils.errors import InputError

CONFIGS = sorted((Path(__file__).parents[2] /
                  'configs/_base_/models').glob('group_cam_*.py'))
STRIDES = {
    'convnext-t': 32,
    'deit-s': 16,
    'dinov2-s': 14,
    'effnet-lite0': 16,
    'r101': 16,
    'r50': 16,
    'swin-t': 32,
    'tiny': 8,
    'vgg16-os8': 8,
    'vit-s': 14,
}


def short(path):
    return path.stem.replace('group_cam_', '')


def load(path):
    """The model without anything that is fetched."""
    cfg = Config.fromfile(path).model
    cfg.backbone.pop('init_cfg', None)
    if 'dino' in path.stem:
        pytest.importorskip('timm', '1.0.20')
        cfg.backbone.backbone.pop('init_cfg')
    if cfg.backbone.type == 'group_wsss.EffNetLite0':
        pytest.importorskip('timm')
        cfg.backbone.weights = None
    return cfg


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=short)
def test_builds_and_gives_maps(path):
    cfg = load(path)
    stride = STRIDES[short(path)]
    # any scope will do: one of the three for each
    scope = ('mmpretrain', 'mmseg', 'group_wsss')[CONFIGS.index(path) % 3]
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(cfg)
    model.eval()
    side = 112 if stride == 14 else 96
    with torch.no_grad():
        maps, group_maps = model(torch.rand(2, 3, side, side + 2 * stride))
    assert maps.shape == (2, 20, side // stride, side // stride + 2)
    assert group_maps is maps  # groups of one


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'group_wsss'])
def test_every_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(load(CONFIGS[-2]))
    assert type(model.backbone).__name__ == 'VGGOS8'
    assert type(model.data_preprocessor).__name__ == 'GroupDataPreprocessor'
    assert type(model.head.loss_module).__module__ == (
        'mmpretrain.models.losses.cross_entropy_loss')


@pytest.mark.parametrize('path', CONFIGS, ids=short)
def test_weights_are_named(path):
    backbone = Config.fromfile(path).model.backbone
    if short(path) == 'dinov2-s':  # a file that the user has
        init = backbone.backbone.init_cfg
        assert init.checkpoint == 'dinov2_vits14_reg4_pretrain.pth'
    elif 'init_cfg' in backbone:
        assert backbone.init_cfg.checkpoint.startswith('https://download.')
        assert backbone.init_cfg.prefix == 'backbone.'
    elif short(path) == 'tiny':  # from scratch
        assert 'weights' not in backbone
    else:
        assert backbone.weights == 'package'


@pytest.mark.parametrize('parts, words', [
    (['neck'], '100.*384|384.*100'),
    (['head'], '100.*384|384.*100'),
    (['neck', 'head'], '100.*384|384.*100'),
    ([], 'VisionTransformer .*featmap'),
])
def test_wrong_width(parts, words):
    path, = (p for p in CONFIGS if short(p) == 'deit-s')
    cfg = load(path)
    for part in parts:
        cfg[part].in_channels = 100
    if not parts:
        cfg.backbone.out_type = 'cls_token'
    with pytest.raises(InputError, match=words):
        MODELS.build(cfg)(torch.rand(4, 3, 64, 64))
