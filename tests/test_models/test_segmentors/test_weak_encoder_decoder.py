# Copyright (c) group_wsss contributors. All rights reserved.
"""A tiny mmseg segmentor with losses that see scores and image."""
import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from PIL import Image

from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError

CONFIGS = Path(__file__).parents[3] / 'configs'
CLASSES = ('background', 'square', 'disc')
BN = dict(type='BN', requires_grad=True)
CE = dict(type='CrossEntropyLoss', avg_non_ignore=True)
HEAD = dict(
    type='FCNHead',
    in_channels=16,
    in_index=1,
    channels=8,
    num_convs=1,
    concat_input=False,
    dropout_ratio=0.1,
    num_classes=3,
    norm_cfg=BN,
    loss_decode=CE)
MODEL = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(48, 64)),
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        stem_channels=8,
        base_channels=8,
        num_stages=2,
        out_indices=(0, 1),
        dilations=(1, 1),
        strides=(1, 2),
        norm_cfg=BN),
    decode_head=HEAD,
    auxiliary_head=dict(HEAD, in_channels=8, in_index=0),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
GATED = dict(type='group_wsss.GatedCRFLoss', radius=2)
NEEDS_SCORES = [
    'SoftCrossEntropy', 'CollisionCrossEntropy', 'ScoreWeightedCrossEntropy'
]


class Spy(torch.nn.Module):
    """A regularizer that keeps what it is given."""
    loss_name = 'loss_spy'

    def forward(self, seg_logits, **targets):
        self.logits, self.targets = seg_logits, targets
        return seg_logits.sum() * 0 + 7


def build(**changes):
    cfg = deepcopy(MODEL)
    cfg.update(type='group_wsss.WeakEncoderDecoder', **changes)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(ConfigDict(cfg))


@pytest.fixture
def toy(tmp_path):
    """Pictures, a dump with scores and its labels; one picture is smaller."""
    rng = np.random.default_rng(0)
    (tmp_path / 'img').mkdir()
    (tmp_path / 'pseudo').mkdir()
    for i in range(4):
        height = 40 if i == 3 else 48
        maps = np.zeros((2, height, 64), np.float32)
        maps[0, 8:24, 8 + i:24 + i] = 0.9
        maps[1, 28:38, 40:60] = 0.8
        label = np.where(maps.max(0) > 0.35, maps.argmax(0) + 1, 0)
        image = rng.integers(0, 60, (height, 64, 3)) + 90 * label[..., None]
        label[0] = 255
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f'img/{i}.jpg')
        Image.fromarray(label.astype(np.uint8)).save(tmp_path /
                                                     f'pseudo/{i}.png')
        ScoreMap(str(i), (height, 64), [0, 1],
                 maps).save(str(tmp_path / f'pseudo/scores/{i}.npz'))
    labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold=0.35)
    (tmp_path / 'pseudo/manifest.json').write_text(
        json.dumps(dict(classes=list(CLASSES), labeler=labeler)))
    return tmp_path


def train_cfg(root, scores, **model):
    """A runner's config: three steps, then validation."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', imdecode_backend='pillow')
    ]
    loader = dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=False),
        dataset=dict(
            type='BaseSegDataset',
            data_root=str(root),
            data_prefix=dict(img_path='img', seg_map_path='pseudo'),
            img_suffix='.jpg',
            seg_map_suffix='.png',
            metainfo=dict(classes=CLASSES, palette=[[0] * 3] * 3),
            pipeline=pipeline + [
                dict(type='RandomCrop', crop_size=(48, 60)),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackSegInputs')
            ]))
    if scores:
        steps = loader['dataset']['pipeline']
        steps.insert(2, dict(type='group_wsss.LoadScores'))
        steps[-1] = dict(type='group_wsss.PackScores')
    val = deepcopy(loader)
    val.update(batch_size=1, sampler=dict(type='DefaultSampler'))
    val['dataset']['pipeline'] = pipeline + [dict(type='PackSegInputs')]
    cfg = deepcopy(MODEL)
    cfg.update(type='group_wsss.WeakEncoderDecoder', **model)
    return dict(
        model=ConfigDict(cfg),
        work_dir=str(root / 'work'),
        train_dataloader=loader,
        val_dataloader=val,
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        val_cfg=dict(type='ValLoop'),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3, val_interval=3),
        optim_wrapper=dict(
            type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        log_processor=dict(by_epoch=False),
        default_scope='mmseg',
        randomness=dict(seed=0),
        experiment_name=f'weak_{root.name}')


@pytest.mark.slow
@pytest.mark.parametrize('name', [
    'BootstrappedCrossEntropy', 'GatedCRFLoss', *NEEDS_SCORES, 'stock',
    'coattention', 'graph-dropout'
])
def test_trains(name, toy):
    """Three steps and a validation, with one of our parts."""
    scores = name in NEEDS_SCORES
    loss = dict(type=f'group_wsss.{name}')
    cfg = train_cfg(toy, scores)
    if name in ('stock', 'coattention', 'graph-dropout'):
        cfg['model'].type = 'EncoderDecoder'
        loss['type'] = 'group_wsss.BootstrappedCrossEntropy'
        cfg['model'].decode_head.loss_decode = [loss, CE]
    else:
        cfg['model'].update(regularizers=[loss], head_loss=not scores)
    if name in ('coattention', 'graph-dropout'):
        neck = mixin(name)[0].model.neck
        cfg['model'].neck = neck
        if name == 'coattention':
            neck.update(in_channels=16, channels=8)
    with DefaultScope.overwrite_default_scope('mmseg'):
        runner = Runner.from_cfg(cfg)
        model = runner.train()
    scalars = runner.message_hub.log_scalars
    key = f'train/decode.{MODELS.build(loss).loss_name}'
    for one in ('train/loss', key, 'train/aux.loss_ce',
                'train/decode.acc_seg'):
        history = scalars[one].data[0]
        assert len(history) == 3 and np.isfinite(history).all(), one
    assert ('train/decode.loss_ce' in scalars) is not scores
    assert (scalars[key].data[0] > 0).all()
    assert 'val/mIoU' in scalars
    if name == 'coattention':
        # it has learnt: zero at the start
        assert model.neck.expand.weight.abs().sum() > 0
        x = torch.rand(2, 3, 48, 64)
        together, alone = (
            model.eval().extract_feat(y)[-1] for y in (x, x[:1]))
        # at inference what shares the batch is no group
        torch.testing.assert_close(together[:1], alone)


@pytest.fixture
def batch(toy):
    """The first batch of the training, not preprocessed."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        loader = train_cfg(toy, True)['train_dataloader']
        return next(iter(Runner.build_dataloader(loader)))


def prepared(model, batch):
    return model.data_preprocessor(deepcopy(batch), training=True)


def handed_over(model, data):
    """Logits and targets that a regularizer is given."""
    model.regularizers.append(Spy())
    model.loss(**data)
    return model.regularizers[-1].logits, model.regularizers[-1].targets


def test_without_regularizers_it_is_the_encoder_decoder(batch):
    with DefaultScope.overwrite_default_scope('mmseg'):
        stock = MODELS.build(ConfigDict(deepcopy(MODEL)))
    ours = build(regularizers=[GATED])
    ours.load_state_dict(stock.state_dict())  # strict: the same names
    data = prepared(stock, batch)
    losses, predictions = [], []
    for model in (stock, ours):
        torch.manual_seed(1)
        losses.append(model.train().loss(**deepcopy(data)))
        found = model.eval()(data['inputs'][:1], mode='predict')
        predictions.append(found[0].seg_logits.data)
    assert losses[1].pop('decode.loss_gated_crf') > 0
    torch.testing.assert_close(*losses)
    assert torch.equal(*predictions)
    assert isinstance(ours, type(stock))


def test_absent_classes_have_no_part(batch):
    """The loss is that of a network without their channels."""
    loss = dict(type='group_wsss.SoftCrossEntropy')
    model = build(
        head_loss=False, restrict_to_tags=True, regularizers=[loss, GATED])
    head = model.decode_head
    data = prepared(model, batch)
    for sample in data['data_samples']:  # none shows a disc
        sample.set_metainfo(dict(score_labels=[1]))
        sample.gt_scores.data = sample.gt_scores.data[:1]
        sample.gt_sem_seg.data[sample.gt_sem_seg.data == 2] = 0
    with torch.no_grad():
        head.conv_seg.bias[2] = 5.  # the network is sure of discs
    torch.manual_seed(0)
    losses = model.loss(**data)
    losses['decode.loss_soft_ce'].backward()
    assert head.conv_seg.weight.grad[:2].abs().sum() > 0
    assert not head.conv_seg.weight.grad[2].any()
    with torch.no_grad():
        head.conv_seg.bias[2] = -1e4
    model.restrict_to_tags = False
    torch.manual_seed(0)
    want = model.loss(**data)
    for name in ('decode.loss_soft_ce', 'decode.loss_gated_crf'):
        torch.testing.assert_close(losses[name], want[name])


def test_what_a_regularizer_is_given(batch):
    model = build(bg_threshold=0.4, temperature=0.2)
    data = prepared(model, batch)
    logits, given = handed_over(model, data)
    assert logits.shape == (4, 3, 48, 64)
    label = torch.stack([s.gt_sem_seg.data[0] for s in data['data_samples']])
    assert torch.equal(given['seg_label'], label)
    # crops are 60 pixels wide, the last picture 40 pixels high
    valid = torch.zeros(4, 48, 64, dtype=torch.bool)
    valid[:, :, :60] = True
    valid[3, 40:] = False
    assert torch.equal(given['valid'], valid)
    assert (label[~valid] == 255).all()
    # the image, RGB in [0, 1]
    for i, size in enumerate([(48, 60)] * 3 + [(40, 60)]):
        crop = given['image'][i, :, :size[0], :size[1]]
        want = batch['inputs'][i].flip(0) / 255
        torch.testing.assert_close(crop, want, atol=1e-5, rtol=0)
    soft = given['soft_label']
    known = label != 255
    torch.testing.assert_close(soft.sum(1), known.float())
    assert known.any() and torch.equal(soft.argmax(1)[known], label[known])
    # background 0.4, no square, disc 0.8, over a temperature of 0.2
    want = torch.tensor([2., 0., 4.]).softmax(0)[2]
    disc = soft[:, 2][label == 2]
    torch.testing.assert_close(disc, want.expand_as(disc), atol=0.01, rtol=0)
    assert given['ignore_index'] == 255


def test_coarser_labels(toy):
    cfg = train_cfg(toy, True)
    steps = cfg['train_dataloader']['dataset']['pipeline']
    steps[3:5] = [
        dict(type='Resize', scale=(64, 48), keep_ratio=False),
        dict(type='SegRescale', scale_factor=0.5)
    ]
    with DefaultScope.overwrite_default_scope('mmseg'):
        batch = next(iter(Runner.build_dataloader(cfg['train_dataloader'])))
        steps[3] = dict(type='Resize', scale=(64, 40), keep_ratio=False)
        padded = next(iter(Runner.build_dataloader(cfg['train_dataloader'])))
    model = build(bg_threshold=0.4, temperature=0.2)
    data = prepared(model, batch)
    logits, given = handed_over(model, data)
    assert logits.shape == (4, 3, 24, 32)
    assert given['soft_label'].shape == (4, 3, 24, 32)
    assert given['valid'].shape == (4, 24, 32) and given['valid'].all()
    label = given['seg_label']
    known = label != 255
    assert torch.equal(given['soft_label'].argmax(1)[known], label[known])
    want = data['inputs'] * model.data_preprocessor.std
    want = (want + model.data_preprocessor.mean) / 255
    want = want.unflatten(3, (32, 2)).unflatten(2, (24, 2)).mean((3, 5))
    torch.testing.assert_close(given['image'], want)
    with pytest.raises(InputError, match='SegRescale does not go with padd'):
        model.loss(**prepared(model, padded))


def test_unknown_pixels_can_be_used(batch):
    model = build(use_unknown=True)
    _, given = handed_over(model, prepared(model, batch))
    assert ((given['seg_label'] == 255) & given['valid']).any()
    torch.testing.assert_close(given['soft_label'].sum(1),
                               given['valid'].float())


def test_equal_names_add_up(batch):
    """And logits are resized as the head does it."""
    loss = dict(type='group_wsss.BootstrappedCrossEntropy', beta=1.0)
    model = build(regularizers=[loss, dict(loss, loss_weight=3.)])
    losses = model.loss(**prepared(model, batch))
    torch.testing.assert_close(losses['decode.loss_bootstrapped_ce'],
                               4 * losses['decode.loss_ce'])


def test_all_unknown_is_zero(batch):
    """Finite, 0, and no NaN in any gradient, auxiliary head included."""
    model = build(
        regularizers=[GATED] +
        [dict(type=f'group_wsss.{name}') for name in NEEDS_SCORES],
        head_loss=False)
    data = prepared(model, batch)
    for sample in data['data_samples']:
        sample.gt_sem_seg.data.fill_(255)
    losses = model.loss(**data)
    total = sum(value for key, value in losses.items() if 'loss' in key)
    assert total == 0
    total.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert not parameter.grad.any(), name


def test_options():
    for changes, words in ((dict(head_loss=False), 'without a loss'),
                           (dict(temperature=0.), 'temperature')):
        with pytest.raises(InputError, match=words):
            build(**changes)
    for frozen in (True, False):
        model = build(freeze_backbone=frozen).train()
        assert model.backbone.training != frozen
        assert all(p.requires_grad != frozen
                   for p in model.backbone.parameters())
        assert model.decode_head.training


def test_heads_that_cannot_share_logits(batch):
    head = dict(HEAD, type='EncHead')
    del head['num_convs'], head['concat_input']
    model = build(
        decode_head=dict(
            head, in_channels=(8, 16), in_index=(0, 1), num_codes=4))
    data = prepared(model, batch)
    with pytest.raises(InputError, match='EncHead gives more than one'):
        model.loss(**data)


def mixin(name):
    """Config of a mixin, and the one that it changes."""
    path, = CONFIGS.glob(f'mixins/deeplabv3_*_{name}_*.py')
    base = CONFIGS / 'deeplabv3' / path.name.replace(f'_{name}_', '_')
    return Config.fromfile(path), Config.fromfile(base)


@pytest.mark.parametrize('name', [
    'bootstrapped-ce', 'gated-crf', 'collision-ce', 'soft-ce',
    'score-weighted-ce', 'coattention', 'graph-dropout'
])
def test_mixin_configs_change_nothing_else(name):
    cfg, base = mixin(name)
    if name in ('coattention', 'graph-dropout'):
        part = cfg.model.pop('neck')
    elif name == 'bootstrapped-ce':
        part = cfg.model.decode_head.loss_decode
        cfg.model.decode_head.loss_decode = base.model.decode_head.loss_decode
    else:
        part, = cfg.model.pop('regularizers')
        assert cfg.model.type == 'group_wsss.WeakEncoderDecoder'
        cfg.model.type = base.model.type
        assert cfg.model.pop('head_loss', True) is (name == 'gated-crf')
    assert part.type.startswith('group_wsss.')
    assert cfg.model == base.model
    steps, stock = ([s.type for s in c.train_dataloader.dataset.pipeline]
                    for c in (cfg, base))
    if part.type.split('.')[1] in NEEDS_SCORES:
        assert steps[2] == 'group_wsss.LoadScores'
        assert steps[-1] == 'group_wsss.PackScores'
        steps = [*steps[:2], *steps[3:-1], 'PackSegInputs']
    assert steps == stock
    assert cfg.val_dataloader == base.val_dataloader


@pytest.mark.slow
def test_stage_1_does_not_import_the_models_of_mmseg():
    code = ('import sys, group_wsss.models, group_wsss.pseudo_labels; '
            'assert "mmseg.models" not in sys.modules')
    subprocess.run([sys.executable, '-c', code], check=True)
