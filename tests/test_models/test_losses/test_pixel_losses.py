# Copyright (c) group_wsss contributors. All rights reserved.
"""Losses over pixels: what they have in common, and each by a plain loop."""
import math

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from group_wsss.models.losses import CollisionCrossEntropy
from group_wsss.utils.errors import InputError

HARD = [
    dict(type='BootstrappedCrossEntropy'),
    dict(type='BootstrappedCrossEntropy', mode='soft'),
]
SOFT = [
    dict(type='SoftCrossEntropy'),
    dict(type='CollisionCrossEntropy'),
    dict(type='ScoreWeightedCrossEntropy'),
]
PAIRS = [dict(type='GatedCRFLoss', downscale=1, radius=2)]
ALL = HARD + SOFT + PAIRS


def name(cfg):
    return cfg['type'] + cfg.get('mode', '')


def build(cfg, **changes):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build({
            **cfg,
            **changes, 'type': f'group_wsss.{cfg["type"]}'
        })


def batch(dtype=torch.double):
    """Logits, and targets as ``WeakEncoderDecoder`` hands them over."""
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 5, 6, dtype=torch.double)
    label = torch.randint(0, 4, (2, 5, 6))
    label[torch.rand(2, 5, 6) < 0.3] = 255
    label[0, 0, 0] = 1
    soft = torch.rand(2, 4, 5, 6, dtype=torch.double) + 0.1
    soft = soft / soft.sum(1, keepdim=True) * (label != 255).unsqueeze(1)
    image = torch.rand(2, 3, 5, 6, dtype=torch.double)
    targets = dict(
        seg_label=label,
        soft_label=soft.to(dtype),
        image=image.to(dtype),
        valid=torch.ones(2, 5, 6, dtype=torch.bool))
    return logits.to(dtype).requires_grad_(), targets


def one_pixel(cfg, q, t, y):
    """Loss and weight of prediction ``q``, label ``t``, soft label ``y``."""
    kind, beta = cfg['type'], cfg.get('beta')
    if kind == 'SoftCrossEntropy':
        return -sum(a * math.log(b) for a, b in zip(y, q)), 1
    if kind == 'CollisionCrossEntropy':
        return -math.log(sum(a * b for a, b in zip(y, q))), 1
    if kind == 'ScoreWeightedCrossEntropy':
        return -math.log(q[t]), y[t]**cfg.get('power', 1)
    own = q
    if cfg.get('mode') != 'soft':
        own = [float(share == max(q)) for share in q]
    if beta is None:
        beta = 0.95 if cfg.get('mode') == 'soft' else 0.8
    return -sum((beta * (k == t) + (1 - beta) * own[k]) * math.log(share)
                for k, share in enumerate(q)), 1


@pytest.mark.parametrize(
    'cfg',
    HARD + SOFT + [
        dict(HARD[0], beta=0.3),
        dict(HARD[1], beta=0.),
        dict(SOFT[2], power=2.),
        dict(SOFT[2], power=0.),
    ],
    ids=str)
def test_equals_plain_loop(cfg):
    logits, targets = batch()
    label, soft = targets['seg_label'], targets['soft_label']
    soft[:, 1, :, 0] = 0  # a class known to be absent
    soft[0, 1, 0, 0] = 0.5
    if cfg['type'] == 'ScoreWeightedCrossEntropy':
        soft[1, :, 2] = 0  # no scores, though there is a label
    values, weights = [], []
    for b, y, x in np.ndindex(2, 5, 6):
        column = soft[b, :, y, x].tolist()
        if label[b, y, x] == 255 or ('Boot' not in cfg['type']
                                     and not sum(column)):
            continue
        q = [math.exp(v) for v in logits[b, :, y, x].tolist()]
        value, weight = one_pixel(cfg, [v / sum(q) for v in q],
                                  label[b, y, x].item(), column)
        values.append(value * weight)
        weights.append(weight)
    want = pytest.approx(sum(values) / sum(weights))
    assert build(cfg)(logits, **targets).item() == want
    # another number for what is unknown
    targets['seg_label'] = label.masked_fill(label == 255, 9)
    assert build(cfg)(logits, ignore_index=9, **targets).item() == want
    if 'Score' in cfg['type']:  # low everywhere, as quickly learned
        targets['soft_label'] = soft / 9
        assert build(cfg)(logits, ignore_index=9, **targets).item() == want


def test_confident_and_wrong_is_finite():
    logits = torch.tensor([500., 0., 0.]).reshape(1, 3, 1, 1).requires_grad_()
    soft = torch.tensor([0., 1., 0.]).reshape(1, 3, 1, 1)
    value = CollisionCrossEntropy()(logits, soft_label=soft)
    assert value.item() == pytest.approx(500.)
    value.backward()
    torch.testing.assert_close(logits.grad.flatten(),
                               torch.tensor([1., -1., 0.]))


@pytest.mark.parametrize('cfg', ALL, ids=name)
def test_gradients_weight_and_name(cfg):
    loss = build(cfg, loss_weight=1.)
    logits, targets = batch()
    if cfg in PAIRS:  # whose gradient is not that of its value
        assert torch.autograd.gradcheck(lambda x: loss(x, **targets), logits)
    one = loss(logits, **targets)
    torch.testing.assert_close(
        build(cfg, loss_weight=0.25)(logits, **targets), one / 4)
    assert one > 0 and loss.loss_name.startswith('loss_')
    assert build(cfg, loss_name='loss_x').loss_name == 'loss_x'


@pytest.mark.parametrize('cfg', ALL, ids=name)
def test_a_batch_without_labels_is_zero(cfg):
    loss = build(cfg)
    logits, targets = batch(torch.float)
    # confident and wrong: where a logarithm would break
    logits.data[:, 0] = 1e4
    targets['seg_label'] = torch.full_like(targets['seg_label'], 255)
    targets['soft_label'] = torch.zeros_like(targets['soft_label'])
    value = loss(logits, **targets)
    assert value == 0 and value.requires_grad
    value.backward()
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize('cfg', HARD + SOFT, ids=name)
def test_an_ignored_pixel_does_not_count(cfg):
    loss = build(cfg)
    logits, targets = batch()
    unknown = targets['seg_label'] == 255
    value = loss(logits, **targets)
    hidden = unknown.unsqueeze(1).expand_as(logits)
    moved = logits.detach().clone()
    moved[hidden] = 50.
    torch.testing.assert_close(loss(moved, **targets), value.detach())
    # of the mean over known pixels: the others do not dilute it
    share = (~unknown).double().mean()
    all_pixels = build(cfg, avg_non_ignore=False)(logits, **targets)
    torch.testing.assert_close(all_pixels, value * share)
    # the weight of a pixel does not enter the divisor
    parts = torch.rand(2, 5, 6).double()
    one, other = (
        loss(logits, weight=w, **targets) for w in (parts, 3 - parts))
    torch.testing.assert_close(one + other, 3 * value)


@pytest.mark.parametrize('cfg', ALL, ids=name)
def test_half_precision(cfg):
    loss = build(cfg)
    logits, targets = batch(torch.float)
    want = loss(logits, **targets)
    with torch.autocast('cpu', torch.bfloat16):
        got = loss(logits.bfloat16(), **targets)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, want, rtol=0.05, atol=0.01)
    got.backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize('cfg', ALL, ids=name)
def test_what_it_cannot_work_with(cfg):
    loss = build(cfg)
    logits, targets = batch()
    with pytest.raises(InputError, match='out_channels is 1'):
        loss(logits[:, :1], **targets)
    if cfg not in HARD:  # as a head of mmseg calls it
        with pytest.raises(InputError, match='WeakEncoderDecoder') as caught:
            loss(logits, targets['seg_label'], weight=None, ignore_index=255)
        assert '\n' not in str(caught.value)


@pytest.mark.parametrize('cfg, options', [
    (HARD[0], dict(mode='warm')),
    (HARD[0], dict(beta=1.1)),
    (HARD[0], dict(beta=-0.1)),
    (HARD[0], dict(beta=float('nan'))),
    (SOFT[2], dict(power=-1.)),
    (PAIRS[0], dict(radius=0)),
    (PAIRS[0], dict(sigma_xy=0.)),
    (PAIRS[0], dict(sigma_rgb=-1.)),
    (PAIRS[0], dict(sigma_rgb=float('nan'))),
    (PAIRS[0], dict(downscale=0)),
])
def test_wrong_options(cfg, options):
    message = f'{next(iter(options))} of {cfg["type"]}'
    with pytest.raises(InputError, match=message):
        build(cfg, **options)
