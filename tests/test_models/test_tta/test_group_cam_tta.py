# Copyright (c) group_wsss contributors. All rights reserved.
import copy

import numpy as np
import pytest
import torch
import torch.nn as nn
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample

from group_wsss.models import GroupCAMTTA
from group_wsss.utils.errors import InputError

LABELS = [[1, 3], [4], [0, 2], [0, 1, 4]]
FLIPS = (None, 'horizontal', 'vertical', 'diagonal')
DIMS = dict(horizontal=[2], vertical=[1], diagonal=[1, 2])


def backbone(symmetric=False):
    """Stride 2; with symmetric kernels a mirror image gives mirrored maps."""
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1))
    for layer in net if symmetric else []:
        if isinstance(layer, nn.Conv2d):
            layer.weight.data += layer.weight.data.flip(3)
    return net


def build(symmetric=False, test_cfg=None, **kwargs):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type='group_wsss.GroupCAM',
                data_preprocessor=dict(
                    mean=[127.] * 3, std=[64.] * 3, to_rgb=True),
                backbone=backbone(symmetric),
                neck=dict(type='group_wsss.CoAttentionGNN', in_channels=8),
                head=dict(
                    type='group_wsss.GroupCAMHead',
                    in_channels=8,
                    num_classes=5,
                    **kwargs)))
    model.head.classifier.weight.data.normal_()
    return model.eval()


def view(image, label, slot, size, flip, name='a'):
    """An augmented image and its sample."""
    resized = nn.functional.interpolate(
        image[None], size, mode='bilinear', align_corners=False)[0]
    if flip:
        resized = resized.flip(DIMS[flip])
    sample = DataSample(
        metainfo=dict(
            img_id=name,
            img_path=f'{name}.jpg',
            ori_shape=tuple(image.shape[1:]),
            flip=bool(flip),
            flip_direction=flip))
    if slot is not None:
        sample.set_metainfo(dict(group_slot=slot))
    if label is not None:
        sample.set_gt_label(label)
    return resized.round().to(torch.uint8), sample


def batch(augs, k=1, groups=1, labels=LABELS, shapes=((24, 20), )):
    """As ``TestTimeAug`` and ``group_collate`` leave it."""
    generator = torch.Generator().manual_seed(3)
    images = [
        255 * torch.rand(3, *shapes[i % len(shapes)], generator=generator)
        for i in range(k * groups)
    ]
    data = dict(inputs=[], data_samples=[])
    for scale, flip in augs:
        views = [
            view(image, labels and labels[i % 4], i % k if k > 1 else None,
                 [int(scale * n) for n in image.shape[1:]], flip, f'n{i}')
            for i, image in enumerate(images)
        ]
        data['inputs'].append([v[0] for v in views])
        data['data_samples'].append([v[1] for v in views])
    return data


def resize(maps, size):
    """Bilinear, pixel by pixel; corners are not aligned."""
    out = np.zeros((len(maps), *size))
    for y in range(size[0]):
        for x in range(size[1]):
            at = [(i + .5) * n / m - .5
                  for i, n, m in zip((y, x), maps.shape[1:], size)]
            at = [
                min(max(place, 0), n - 1)
                for place, n in zip(at, maps.shape[1:])
            ]
            low = [int(place) for place in at]
            high = [min(i + 1, n - 1) for i, n in zip(low, maps.shape[1:])]
            dy, dx = at[0] - low[0], at[1] - low[1]
            out[:, y, x] = (
                maps[:, low[0], low[1]] * (1 - dy) * (1 - dx) +
                maps[:, low[0], high[1]] * (1 - dy) * dx +
                maps[:, high[0], low[1]] * dy * (1 - dx) +
                maps[:, high[0], high[1]] * dy * dx)
    return out


def by_hand(model, data, size=None, rule='mean', normalize=False):
    """Maps and scores of all anchors, one augmentation after the other."""
    data, maps, scores = copy.deepcopy(data), [], []
    for images, samples in zip(data['inputs'], data['data_samples']):
        flip = samples[0].flip_direction
        found = model.test_step(dict(inputs=images, data_samples=samples))
        scores.append([s.pred_score.numpy() for s in found])
        maps.append([
            np.flip(s.class_maps.numpy(), DIMS[flip] if flip else [])
            for s in found
        ])
    merged = []
    for views in zip(*maps):
        goal = size or np.max([m.shape[1:] for m in views], 0)
        views = [resize(m, goal) for m in views]
        if normalize:
            peaks = [m.max((1, 2), keepdims=True) for m in views]
            views = [m / np.where(p > 0, p, 1) for m, p in zip(views, peaks)]
        merged.append(getattr(np, rule)(views, axis=0))
    return merged, np.mean(scores, 0)


AUGS = [(1, None), (1, 'horizontal'), (1.5, None), (1.5, 'diagonal'),
        (.5, 'vertical')]


@pytest.mark.parametrize('k, groups, shapes, kwargs, rule', [
    (1, 1, ((24, 20), ), dict(), 'mean'),
    (1, 4, ((24, 20), (16, 28)), dict(), 'mean'),
    (3, 2, ((24, 20), ), dict(), 'mean'),
    (2, 3, ((24, 20), (16, 28), (12, 12)), dict(), 'mean'),
    (2, 3, ((24, 20), (16, 28)), dict(merge='max'), 'max'),
    (3, 2, ((24, 20), ), dict(normalize=True), 'mean'),
    (2, 2, ((24, 20), ), dict(out_size=(7, 9)), 'mean'),
    (2, 2, ((24, 20), ), dict(batch_augs=False), 'mean'),
])
def test_equals_a_loop_over_augmentations(k, groups, shapes, kwargs, rule):
    model = build()
    data = batch(AUGS, k, groups, shapes=shapes)
    maps, scores = by_hand(model, data, kwargs.get('out_size'), rule,
                           kwargs.get('normalize', False))
    found = GroupCAMTTA(model, **kwargs).test_step(data)
    assert [s.img_id for s in found] == [f'n{i * k}' for i in range(groups)]
    for i, (sample, wanted) in enumerate(zip(found, maps)):
        label = LABELS[i * k % 4]
        assert sample.class_ids.tolist() == sample.gt_label.tolist() == label
        assert sample.class_maps.shape == wanted.shape and wanted.max() > 0
        np.testing.assert_allclose(sample.class_maps, wanted, atol=1e-6)
        np.testing.assert_allclose(sample.pred_score, scores[i], atol=1e-6)
        predicted = np.flatnonzero(scores[i] >= .5)
        assert sample.pred_label.tolist() == predicted.tolist()
        assert sample.img_path == f'n{i * k}.jpg'
        assert sample.ori_shape == shapes[i * k % len(shapes)]
        assert sample.get('group_slot') == (0 if k > 1 else None)
        assert not sample.flip and sample.flip_direction is None


@pytest.mark.parametrize('labels', [LABELS, None])
@pytest.mark.parametrize('k', [1, 2])
def test_one_augmentation_is_the_plain_prediction(k, labels):
    model = build()
    data = batch([(1, None)], k, 2, labels)
    plain = model.test_step(
        copy.deepcopy({
            key: value[0]
            for key, value in data.items()
        }))
    for a, b in zip(GroupCAMTTA(model).test_step(data), plain):
        assert set(a.keys()) == set(b.keys()) and a.metainfo == b.metainfo
        for key, value in b.items():
            assert torch.equal(a.get(key), value), key


@pytest.mark.parametrize('k', [1, 3])
@pytest.mark.parametrize('flip', FLIPS[1:])
def test_mirror_image_gives_mirrored_maps(k, flip):
    tta = GroupCAMTTA(build())
    one, = tta.test_step(batch([(1, None), (1, flip)], k))
    turned = batch([(1, flip), (1, None)], k)
    for samples in turned['data_samples']:  # now the mirror image is upright
        for sample in samples:
            flipped = not sample.flip
            sample.set_metainfo(
                dict(flip=flipped, flip_direction=flip if flipped else None))
    two, = tta.test_step(turned)
    torch.testing.assert_close(
        two.class_maps, one.class_maps.flip(DIMS[flip]), rtol=0, atol=1e-6)
    assert (two.class_maps - one.class_maps).abs().max() > .01


@pytest.mark.parametrize('k', [1, 3])
def test_flip_changes_nothing_for_a_symmetric_network(k):
    model = build(symmetric=True)
    one, = GroupCAMTTA(model).test_step(batch([(1, None)], k))
    two, = GroupCAMTTA(model).test_step(
        batch([(1, None), (1, 'horizontal')], k))
    assert one.class_maps.max() > .1
    torch.testing.assert_close(
        two.class_maps, one.class_maps, rtol=0, atol=1e-5)


def test_partners_have_the_side_of_the_anchor():
    """Groups that mix sides give another result."""
    model = build()
    data = batch([(1, None), (1, 'horizontal')], 2)
    mixed = copy.deepcopy(data)
    for key in data:  # partners of the other augmentation
        mixed[key][0][1], mixed[key][1][1] = data[key][1][1], data[key][0][1]
    one, = GroupCAMTTA(model).test_step(data)
    two, = GroupCAMTTA(model).test_step(mixed)
    assert (one.class_maps - two.class_maps).abs().max() > 1e-4


def test_a_flip_pair_is_one_batch():
    model, calls = build(), []
    run = model.test_step

    def watch(data):
        calls.append([tuple(x.shape[1:]) for x in data['inputs']])
        return run(data)

    model.test_step = watch
    GroupCAMTTA(model).test_step(batch(AUGS, 2))
    assert calls == [[(24, 20)] * 4, [(36, 30)] * 4, [(12, 10)] * 2]
    calls.clear()
    # both images must have the same size
    GroupCAMTTA(model).test_step(
        batch([(1, None), (1, None), (2, None)], 2, shapes=((8, 6), (6, 8))))
    assert [len(x) for x in calls] == [4, 2]
    # all of them, not only the anchor
    data = batch([(1, None), (1, None)], 2)
    data['inputs'][1][1] = data['inputs'][1][1].repeat(1, 2, 1)
    calls.clear()
    GroupCAMTTA(model).test_step(data)
    assert [len(x) for x in calls] == [2, 2]
    calls.clear()
    GroupCAMTTA(model, batch_augs=False).test_step(batch(AUGS, 2))
    assert [len(x) for x in calls] == [2] * 5


@pytest.mark.parametrize('stride, size', [(1, (24, 20)), (4, (6, 5)),
                                          (7, (4, 3))])
def test_out_stride(stride, size):
    model = build()
    data = batch(AUGS)
    maps, _ = by_hand(model, data, size)
    sample, = GroupCAMTTA(model, out_stride=stride).test_step(data)
    np.testing.assert_allclose(sample.class_maps, maps[0], atol=1e-6)


@pytest.mark.parametrize('rule', [dict(topk=2), dict(thr=.55)])
def test_labels_of_the_mean_score(rule):
    """Without labels, maps are of what the mean score predicts."""
    model = build(**rule)
    data = batch(AUGS[::-1], groups=12, labels=None)
    own = [
        model.test_step(dict(inputs=x, data_samples=copy.deepcopy(s)))
        for x, s in zip(data['inputs'], data['data_samples'])
    ]
    differ = 0
    for i, sample in enumerate(GroupCAMTTA(model).test_step(data)):
        views = [aug[i] for aug in own]
        score = torch.stack([v.pred_score for v in views]).mean(0)
        if 'topk' in rule:
            wanted = set(score.argsort()[-2:].tolist())
        else:
            wanted = set(torch.where(score >= .55)[0].tolist())
        assert set(sample.pred_label.tolist()) == wanted
        differ += wanted != set(views[0].pred_label.tolist())
        # the first view is a mirror image, the merged one is not
        assert not sample.flip and sample.flip_direction is None
        sets = [set(v.class_ids.tolist()) for v in views]
        wanted &= set().union(*sets)
        assert sample.class_ids.tolist() == sorted(wanted)
        for c, found in zip(sorted(wanted), sample.class_maps.numpy()):
            parts = []
            for v in views:
                if c in v.class_ids.tolist():
                    part = v.class_maps[v.class_ids.tolist().index(c)][None]
                    if v.flip:
                        part = part.flip(DIMS[v.flip_direction])
                    parts.append(resize(part.numpy(), found.shape))
            np.testing.assert_allclose(found, np.mean(parts, 0)[0], atol=1e-6)
    assert differ


def test_no_class_and_no_activation():
    model = build()
    sample, = GroupCAMTTA(model).test_step(batch(AUGS, labels=[[]]))
    assert sample.class_maps.shape == (0, 18, 15)
    model.head.classifier.weight.data.zero_()
    model.head.classifier.bias.data.fill_(-1)
    sample, = GroupCAMTTA(model, normalize=True).test_step(batch(AUGS))
    assert sample.class_maps.shape == (2, 18, 15)
    assert not sample.class_maps.any()


@pytest.mark.parametrize('kwargs, words', [
    (dict(merge='sum'), "merge of GroupCAMTTA is 'sum'"),
    (dict(out_size=(0, 4)), 'out_size'),
    (dict(out_size=(4, )), 'out_size'),
    (dict(out_size=(4, 4), out_stride=2), 'out_stride'),
    (dict(out_stride=0), 'out_stride'),
])
def test_wrong_options(kwargs, words):
    with pytest.raises(InputError, match=words):
        GroupCAMTTA(build(), **kwargs)


def test_wrong_batches():
    tta = GroupCAMTTA(build(), out_stride=2)
    data = batch(AUGS[:2])
    plain = {key: value[0] for key, value in copy.deepcopy(data).items()}
    with pytest.raises(InputError, match='must end with TestTimeAug'):
        tta.test_step(plain)
    for key, words in (('flip', 'meta_keys'), ('flip_direction', 'undone'),
                       ('ori_shape', "'ori_shape'")):
        broken = copy.deepcopy(data)
        for samples in broken['data_samples']:
            samples[0].pop(key)
        with pytest.raises(InputError, match=f"'n0'.*{words}"):
            tta.test_step(broken)
