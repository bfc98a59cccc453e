# Copyright (c) group_wsss contributors. All rights reserved.
"""What all losses over pixels have in common."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, DefaultScope

from group_wsss.models.losses import PixelLoss
from group_wsss.utils.errors import InputError

HARD = [
    dict(type='group_wsss.BootstrappedCrossEntropy'),
    dict(type='group_wsss.BootstrappedCrossEntropy', mode='soft'),
]
SOFT = [
    dict(type='group_wsss.SoftCrossEntropy'),
    dict(type='group_wsss.CollisionCrossEntropy'),
    dict(type='group_wsss.ScoreWeightedCrossEntropy'),
]
PAIRS = [dict(type='group_wsss.GatedCRFLoss', downscale=1, radius=2)]
ALL = HARD + SOFT + PAIRS


def name(cfg):
    return cfg['type'].split('.')[1] + cfg.get('mode', '')


def build(cfg, scope='mmseg', **changes):
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build({**cfg, **changes})


def batch(dtype=torch.double, shape=(2, 4, 5, 6), seed=0):
    """Logits, and targets as ``WeakEncoderDecoder`` hands them over."""
    generator = torch.Generator().manual_seed(seed)
    b, c, h, w = shape
    logits = torch.randn(shape, generator=generator, dtype=torch.double)
    label = torch.randint(0, c, (b, h, w), generator=generator)
    label[torch.rand(b, h, w, generator=generator) < 0.3] = 255
    label[0, 0, 0] = 1
    soft = torch.rand(shape, generator=generator, dtype=torch.double) + 0.1
    soft = soft / soft.sum(1, keepdim=True) * (label != 255).unsqueeze(1)
    image = torch.rand(b, 3, h, w, generator=generator, dtype=torch.double)
    valid = torch.ones(b, h, w, dtype=torch.bool)
    targets = dict(
        seg_label=label,
        soft_label=soft.to(dtype),
        image=image.to(dtype),
        valid=valid)
    return logits.to(dtype).requires_grad_(), targets


def one_hot(label, num_classes):
    known = label != 255
    hot = F.one_hot(label.masked_fill(~known, 0), num_classes)
    return hot.permute(0, 3, 1, 2).double() * known.unsqueeze(1)


@pytest.mark.parametrize('cfg', ALL, ids=name)
def test_gradients(cfg):
    loss = build(cfg)
    logits, targets = batch()
    assert torch.autograd.gradcheck(lambda x: loss(x, **targets), logits)


@pytest.mark.parametrize('cfg', ALL, ids=name)
@pytest.mark.parametrize('scope', ['mmseg', 'mmpretrain', 'group_wsss'])
def test_found_from_every_scope(cfg, scope):
    loss = build(cfg, scope)
    assert isinstance(loss, PixelLoss)
    assert loss.loss_name.startswith('loss_')
    assert build(cfg, scope, loss_name='loss_x').loss_name == 'loss_x'


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
    value.backward()
    assert unknown.any() and (~unknown).any()
    hidden = unknown.unsqueeze(1).expand_as(logits)
    assert not logits.grad[hidden].any()
    moved = logits.detach().clone()
    moved[hidden] = 50.
    torch.testing.assert_close(loss(moved, **targets), value.detach())
    # of the mean over known pixels: the others do not dilute it
    share = (~unknown).double().mean()
    all_pixels = build(cfg, avg_non_ignore=False)(logits, **targets)
    torch.testing.assert_close(all_pixels, value * share)


@pytest.mark.parametrize('cfg', HARD + SOFT, ids=name)
def test_weight_is_that_of_mmseg(cfg):
    loss = build(cfg)
    logits, targets = batch()
    single = torch.zeros(2, 5, 6).double()
    parts = []
    for index in [(0, 0, 0), (1, 2, 3)]:
        single.zero_()[index] = 2.
        parts.append(loss(logits, weight=single, **targets))
    both = torch.zeros(2, 5, 6).double()
    both[0, 0, 0] = both[1, 2, 3] = 2.
    torch.testing.assert_close(
        loss(logits, weight=both, **targets), sum(parts))
    ones = torch.ones(2, 5, 6).double()
    torch.testing.assert_close(
        loss(logits, weight=ones, **targets), loss(logits, **targets))


@pytest.mark.parametrize('cfg', ALL, ids=name)
def test_loss_weight(cfg):
    logits, targets = batch()
    one = build(cfg, loss_weight=1.0)(logits, **targets)
    torch.testing.assert_close(
        build(cfg, loss_weight=0.25)(logits, **targets), one / 4)
    assert one > 0


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


@pytest.mark.parametrize(
    'cfg', [
        dict(type='group_wsss.BootstrappedCrossEntropy', beta=1.0),
        *SOFT,
    ],
    ids=name)
def test_with_sure_labels_all_are_cross_entropy(cfg):
    logits, targets = batch()
    targets['soft_label'] = one_hot(targets['seg_label'], 4)
    want = F.cross_entropy(logits, targets['seg_label'], ignore_index=255)
    got = build(cfg)(logits, **targets)
    torch.testing.assert_close(got, want)
    gradients = [torch.autograd.grad(v, logits)[0] for v in (got, want)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('cfg', SOFT + PAIRS, ids=name)
def test_in_a_head_it_says_what_is_missing(cfg):
    loss = build(cfg)
    logits, targets = batch()
    with pytest.raises(InputError, match='WeakEncoderDecoder') as caught:
        loss(logits, targets['seg_label'], weight=None, ignore_index=255)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('cfg', ALL, ids=name)
def test_one_channel_is_refused(cfg):
    logits, targets = batch()
    with pytest.raises(InputError, match='out_channels is 1'):
        build(cfg)(logits[:, :1], **targets)
