# Copyright (c) group_wsss contributors. All rights reserved.
"""Networks of stage 2 are mmseg's; they learn, and are tested over scales."""
from copy import deepcopy
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

ROOT = Path(__file__).resolve().parents[1]
MMSEG = Path(mmseg.__path__[0]) / '.mim/configs'
SHIPPED = {
    'deeplabv3plus/deeplabv3plus_r50-d8_4xb4-20k_voc12-pseudo-512x512.py':
    'deeplabv3plus/deeplabv3plus_r50-d8_4xb4-20k_voc12aug-512x512.py',
    'segmenter/segmenter_vit-s_mask_4xb4-20k_voc12-pseudo-512x512.py':
    'segmenter/segmenter_vit-s_mask_8xb1-160k_ade20k-512x512.py',
}
TTA = [
    'segformer/segformer_effnet-lite0_voc-layout.py',
    'segformer/segformer_effnet-lite0_custom.py',
    'single_stage/segformer_effnet-lite0_voc-layout.py'
]


@pytest.mark.parametrize('ours, theirs', SHIPPED.items())
def test_is_that_of_mmseg(ours, theirs):
    got = Config.fromfile(ROOT / 'configs' / ours)
    want = Config.fromfile(MMSEG / theirs)
    for key in ('lr', 'weight_decay'):
        assert got.optim_wrapper.optimizer[key] == (
            want.optim_wrapper.optimizer[key])
    got, want = got.model.to_dict(), want.model.to_dict()
    for cfg in (got, want):
        # where weights are fetched from differs between releases of mmseg
        cfg['pretrained'] = cfg['pretrained'].split('/')[-1]
        cfg.pop('train_cfg', None)
    for head in {'decode_head', 'auxiliary_head'} & set(want):
        want[head]['num_classes'] = 21
        want[head]['loss_decode']['avg_non_ignore'] = True
    assert got == want


def small(path):
    """A few channels, random weights."""
    cfg = deepcopy(Config.fromfile(ROOT / 'configs' / path).model)
    bn = dict(type='BN', requires_grad=True)
    cfg.pretrained = None
    if cfg.backbone.type == 'VisionTransformer':
        cfg.backbone.update(img_size=(32, 32), embed_dims=24, num_layers=2)
        cfg.decode_head.update(in_channels=24, channels=24, embed_dims=24)
        cfg.test_cfg.update(crop_size=(32, 32), stride=(24, 24))
    else:
        cfg.backbone.update(
            depth=18, stem_channels=8, base_channels=8, norm_cfg=bn)
        cfg.decode_head.update(
            in_channels=64,
            channels=8,
            c1_in_channels=8,
            c1_channels=4,
            dilations=(1, 2),
            norm_cfg=bn)
        cfg.auxiliary_head.update(in_channels=32, channels=8, norm_cfg=bn)
    cfg.data_preprocessor.size = (32, 32)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(cfg)


def learn(model, side):
    """Loss of a step on two images that are half unknown; their samples."""
    label = torch.randint(0, 21, (2, 1, side, side))
    label[:, :, side // 2:] = 255
    shape = side, side
    info = dict(img_shape=shape, ori_shape=shape, pad_shape=shape)
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=x), metainfo=info)
        for x in label
    ]
    losses = model.train().loss(torch.rand(2, 3, side, side), samples)
    loss = sum(v for name, v in losses.items() if 'loss' in name)
    loss.backward()
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    assert torch.stack(norms).isfinite().all() and sum(norms) > 0
    model.eval()
    return loss, samples


@pytest.mark.parametrize('path', SHIPPED)
def test_learns_and_leaves_unknown_pixels_out(path):
    torch.manual_seed(0)
    model = small(path)
    loss, _ = learn(model, 32)
    # the mean is that of known pixels: half of the log of 21 otherwise
    assert loss > 0.8 * torch.tensor(21.).log()
    with torch.no_grad():
        result, = model.predict(torch.rand(1, 3, 32, 40))
    assert result.seg_logits.data.shape == (21, 32, 40)


@pytest.mark.slow
def test_mask2former():
    """The whole config, and a step of fewer channels and queries."""
    pytest.importorskip('mmdet.models', reason='mmdet is not installed')
    pytest.importorskip('mmcv.ops', reason='mmcv has no operations')
    ours, theirs = (
        Config.fromfile(path) for path in (
            ROOT / 'configs/mask2former/'
            'mask2former_r50_4xb4-20k_voc12-pseudo-512x512.py',
            MMSEG / 'mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py'))
    for key in ('optimizer', 'clip_grad', 'paramwise_cfg'):
        assert ours.optim_wrapper[key] == theirs.optim_wrapper[key]
    want = theirs.model.to_dict()
    head = want['decode_head']
    head['num_classes'] = 21
    head['loss_cls']['class_weight'] = [1.0] * 21 + [0.1]
    want['data_preprocessor']['size'] = (512, 512)
    assert ours.model.to_dict() == want
    cfg = ours.model
    cfg.backbone.update(
        init_cfg=None, norm_cfg=dict(type='BN', requires_grad=False))
    with DefaultScope.overwrite_default_scope('mmseg'):
        MODELS.build(deepcopy(cfg))
        cfg.backbone.update(depth=18)
        cfg.decode_head.update(in_channels=[64, 128, 256, 512], num_queries=8)
        cfg.decode_head.transformer_decoder.num_layers = 2
        cfg.decode_head.train_cfg.num_points = 64
        model = MODELS.build(cfg)
    _, samples = learn(model, 64)
    with torch.no_grad():
        result, _ = model.predict(torch.rand(2, 3, 64, 64), samples)
    assert result.seg_logits.data.shape == (21, 64, 64)


@pytest.mark.parametrize('masks', [False, True])
@pytest.mark.parametrize('path', TTA)
def test_scales_and_flips(path, masks, monkeypatch):
    monkeypatch.setenv('VAL_LIST', 'val.txt' if masks else 'none')
    cfg = Config.fromfile(ROOT / 'configs' / path)
    assert cfg.tta_model.type == 'SegTTAModel'
    load, views = cfg.tta_pipeline
    pipeline = cfg.test_dataloader.dataset.pipeline
    assert load == pipeline[0]
    sizes, flips, *rest = views.transforms
    assert pipeline[1] in sizes and len(sizes) == 3
    assert all(
        dict(step, scale=pipeline[1].scale) == pipeline[1] for step in sizes)
    assert [step.prob for step in flips] == [0, 1]
    # what is read beside the image is what the test reads
    assert [step for step, in rest] == pipeline[2:]
