# Copyright (c) group_wsss contributors. All rights reserved.
"""A tiny network against what its parts say by themselves."""
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

import group_wsss.contrib.single_stage  # noqa: F401
from group_wsss.utils.errors import InputError

BN = dict(type='BN', requires_grad=True)
MODEL = dict(
    type='group_wsss.OnlineWeakEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[120., 110., 100.],
        std=[60., 50., 40.],
        pad_val=0,
        seg_pad_val=255,
        size=(32, 48)),
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        stem_channels=8,
        base_channels=8,
        num_stages=2,
        out_indices=(0, 1),
        dilations=(1, 1),
        strides=(1, 2),
        norm_cfg=BN,
        contract_dilation=True),
    decode_head=dict(
        type='FCNHead',
        in_channels=8,
        in_index=0,
        channels=8,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.,
        num_classes=4,
        norm_cfg=BN,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    cam_head=dict(type='group_wsss.GroupCAMHead', in_channels=16),
    labeler=dict(
        refine=dict(
            type='group_wsss.PixelAdaptiveRefinement', dilations=(1, 2)),
        high=0.55,
        low=0.45),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
NECK = dict(
    type='group_wsss.CoAttentionGNN',
    in_channels=16,
    num_steps=1,
    update='mix',
    gamma_init=0.8,
    dropout=None,
    coattention=dict(
        key='contrast',
        key_channels=4,
        normalize=True,
        softmax='group',
        gate=False))
TAGS = ([0, 2], [1], [2], [0, 1])
TARGET = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 1], [1., 1, 0]])


def build(**changes):
    torch.manual_seed(0)
    cfg = dict(deepcopy(MODEL), **changes)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(ConfigDict(cfg))
    model.init_weights()
    torch.nn.init.normal_(model.cam_head.classifier.weight)
    return model.train()


def batch(model, group_size=1, height=32):
    """Preprocessed images and samples; the second may be lower."""
    torch.manual_seed(1)
    pixels = [torch.randint(0, 256, (3, 32, 48)) for _ in TAGS]
    pixels[1] = pixels[1][:, :height]
    samples = []
    for i, tags in enumerate(TAGS):
        sample = SegDataSample(
            metainfo=dict(img_path=f'{i}.jpg', group_slot=i % group_size))
        sample.gt_label = torch.tensor(tags)
        samples.append(sample)
    data = model.data_preprocessor(
        dict(inputs=pixels, data_samples=samples), True)
    return data['inputs'], data['data_samples']


def test_losses_are_those_of_the_parts():
    model = build()
    inputs, samples = batch(model)
    losses = model.loss(inputs, samples)
    feats = model.extract_feat(inputs)
    head = model.cam_head.classifier
    logits = F.conv2d(feats[-1], head.weight, head.bias)
    cam = F.multilabel_soft_margin_loss(logits.mean((2, 3)), TARGET)
    torch.testing.assert_close(losses['cam.loss_cam'], cam)
    maps = logits.relu() * TARGET[:, :, None, None]
    maps = maps / maps.flatten(2).amax(2)[..., None, None].clamp(min=1e-9)
    label = model.labeler(inputs, maps, TARGET)
    assert len(label.unique()) == 5
    for sample, one in zip(samples, label):
        assert (sample.gt_sem_seg.data[0] == one).float().mean() > 0.999
    out = model.decode_head(feats)
    out = F.interpolate(out, size=(32, 48), mode='bilinear')
    known = label != 255
    decode = F.cross_entropy(out.movedim(1, -1)[known], label[known])
    torch.testing.assert_close(
        losses['decode.loss_ce'], decode, rtol=1e-3, atol=0)
    assert set(losses) == {'cam.loss_cam', 'decode.loss_ce', 'decode.acc_seg'}
    # no gradient flows through the label
    losses['decode.loss_ce'].backward(retain_graph=True)
    assert head.weight.grad is None
    assert model.decode_head.conv_seg.weight.grad.abs().sum() > 0
    losses['cam.loss_cam'].backward()
    assert head.weight.grad.abs().sum() > 0


def test_warm_up_and_its_place_in_a_checkpoint():
    model = build(warmup=2)
    inputs, _ = batch(model)
    for step in range(2):
        assert set(model.loss(*batch(model))) == {'cam.loss_cam'}
        resumed = build(warmup=2)
        resumed.load_state_dict(model.state_dict())
        assert int(resumed.seen_batches) == step + 1
    for net in (model, resumed):
        assert 'decode.loss_ce' in net.loss(*batch(net))
    # at inference there are neither tags nor class maps
    model.eval()
    model.cam_head = None
    result = model.predict(inputs)
    assert result[0].pred_sem_seg.data.shape == (1, 32, 48)


def test_groups_are_those_of_group_cam():
    model = build(cam_neck=NECK)
    inputs, samples = batch(model, group_size=2)
    plain = MODELS.build(
        dict(
            type='group_wsss.GroupCAM',
            backbone=torch.nn.Identity(),
            neck=NECK,
            head=dict(MODEL['cam_head'], num_classes=3)))
    plain.neck.load_state_dict(model.cam_neck.state_dict())
    plain.head.load_state_dict(model.cam_head.state_dict())
    feats = model.extract_feat(inputs)
    maps = model.class_maps(feats, inputs, samples)
    want = plain.train().relate([feats[-1]], inputs, samples)
    torch.testing.assert_close(maps.after, want.after)
    assert not torch.allclose(maps.after, maps.class_maps)
    assert set(model.loss(inputs, samples)) > {
        'cam.loss_cam', 'cam.loss_graph', 'cam.loss_contrast'
    }
    alone = model.class_maps(feats, *batch(model, group_size=1))
    assert torch.equal(alone.after, alone.before)


def test_padding():
    model = build()
    inputs, samples = batch(model, height=20)
    losses = model.loss(inputs, samples)
    label = torch.cat([s.gt_sem_seg.data for s in samples])
    assert (label[1, 20:] == 255).all() and (label[1, :18] != 255).any()
    logits = model.cam_head.classifier(model.extract_feat(inputs)[-1])
    score = logits.mean((2, 3))
    # cells of eight pixels: three of four rows have some of the image
    score[1] = logits[1, :, :3].mean((1, 2))
    assert logits.shape[2] == 4
    torch.testing.assert_close(losses['cam.loss_cam'],
                               F.multilabel_soft_margin_loss(score, TARGET))


def test_bad_input():
    with pytest.raises(InputError, match='warmup of OnlineWeakEncoderDecoder'):
        build(warmup=-1)
    model = build()
    inputs, samples = batch(model)
    del samples[2].gt_label
    with pytest.raises(InputError, match='^2.jpg: no gt_label'):
        model.loss(inputs, samples)
    samples[3].gt_sem_seg = PixelData(data=torch.zeros(1, 32, 48).long())
    with pytest.raises(InputError, match='^3.jpg: has a label image'):
        model.loss(inputs, samples)
