# Copyright (c) group_wsss contributors. All rights reserved.
import math

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from group_wsss.contrib.recam import ReCAMLoss
from group_wsss.utils.errors import InputError

TARGET = torch.tensor([[1., 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]])


def plain(maps, features, weight, target, valid=None):
    """The paper's order: pool features, then classify; loops."""
    total = 0.
    for i in range(len(maps)):
        present = [c for c in range(maps.shape[1]) if target[i, c]]
        for c in present:
            pooled = torch.zeros(features.shape[1], dtype=maps.dtype)
            cells = [(y, x) for y in range(maps.shape[2])
                     for x in range(maps.shape[3])
                     if valid is None or valid[i, y, x]]
            peak = max(max(maps[i, c, y, x].item(), 0) for y, x in cells)
            for y, x in cells:
                share = max(maps[i, c, y, x].item(), 0) / (peak + 1e-5)
                pooled += share * features[i, :, y, x] / len(cells)
            logits = weight @ pooled
            lse = math.log(sum(math.exp(v) for v in logits.tolist()))
            total += (lse - logits[c].item()) / len(present)
    return total / len(maps)


def draw(dtype=torch.float32):
    torch.manual_seed(0)
    maps = torch.randn(3, 4, 5, 6, dtype=dtype)
    features = torch.randn(3, 7, 5, 6, dtype=dtype) * 3
    weight = torch.randn(4, 7, dtype=dtype)
    scores = torch.einsum('kd,bdhw->bkhw', weight, features)
    return maps, features, weight, scores


@pytest.mark.parametrize('masked', [False, True])
def test_against_loop(masked):
    maps, features, weight, scores = draw()
    valid = None
    if masked:
        valid = torch.zeros(3, 5, 6, dtype=torch.bool)
        valid[:, :3, :4] = True
        valid[0] = True
        maps[2, :, 4] = 100  # on padding
    got = ReCAMLoss()(maps, scores, TARGET, valid)
    want = plain(maps, features, weight, TARGET, valid)
    assert abs(got.item() - want) < 1e-5
    half = ReCAMLoss(loss_weight=0.5)(maps, scores, TARGET, valid)
    torch.testing.assert_close(half, got / 2)


def test_absent_classes_do_not_matter():
    maps, _, _, scores = draw()
    loss = ReCAMLoss()
    want = loss(maps, scores, TARGET)
    absent = (TARGET == 0)[:, :, None, None]
    changed = torch.where(absent, torch.randn_like(maps) * 9, maps)
    assert torch.equal(loss(changed, scores, TARGET), want)
    # an image without classes counts nothing, and is no error
    nothing = loss(maps.requires_grad_(), scores, torch.zeros(3, 4))
    nothing.backward()
    assert nothing == 0 and not maps.grad.any()


def test_soft_labels_weigh_the_classes():
    maps, _, _, scores = draw()
    loss = ReCAMLoss()
    maps, scores = maps[:1], scores[:1]
    one, other = (loss(maps, scores, torch.eye(4)[c:c + 1]) for c in (0, 2))
    both = loss(maps, scores, torch.tensor([[0.75, 0, 0.25, 0]]))
    torch.testing.assert_close(both, 0.75 * one + 0.25 * other)


@pytest.mark.parametrize('detach', [False, True])
def test_gradcheck(detach):
    maps, _, _, scores = draw(torch.double)
    loss = ReCAMLoss(detach=detach)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(maps, s, TARGET.double()),
                                    scores)
    maps.requires_grad_()
    out = loss(maps, scores, TARGET.double())
    grad, = torch.autograd.grad(out, maps, allow_unused=True)
    assert (grad is None) == detach
    if not detach:
        assert torch.autograd.gradcheck(
            lambda m: loss(m, scores, TARGET.double()), maps)


def test_all_zero_maps_are_finite():
    maps = torch.zeros(3, 4, 1, 1, requires_grad=True)
    out = ReCAMLoss()(maps, torch.randn(3, 4, 1, 1), TARGET)
    out.backward()
    # every class is as good as every other
    torch.testing.assert_close(out.item(), math.log(4) * 2 / 3)
    assert torch.isfinite(maps.grad).all()


def test_autocast_computes_in_full_precision():
    maps, _, _, scores = draw()
    full = ReCAMLoss()(maps.bfloat16(), scores.bfloat16(), TARGET)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = ReCAMLoss()(maps.bfloat16(), scores.bfloat16(), TARGET)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, full)


def test_weights_of_shown_maps():
    cam, softmax = torch.randn(2, 4, 7, 1, 1)
    for source, want in dict(
            product=cam * softmax, sum=cam + softmax, softmax=softmax,
            cam=None).items():
        got = ReCAMLoss(map_source=source).weight(cam, softmax)
        assert got is None if want is None else torch.equal(got, want)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'group_wsss'])
def test_config(scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert not MODELS.build(dict(type='group_wsss.ReCAMLoss')).state_dict()
    with pytest.raises(InputError, match="map_source .*'best'"):
        ReCAMLoss(map_source='best')
