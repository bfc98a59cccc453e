# Copyright (c) group_wsss contributors. All rights reserved.
import copy

import numpy as np
import pytest
import torch
import torch.nn as nn
from mmpretrain.structures import DataSample

from group_wsss.models import GroupCAMTTA
from group_wsss.utils.errors import InputError

LABELS = [[1, 3], [4], [0, 2], [0, 1, 4]]
DIMS = dict(horizontal=[2], vertical=[1], diagonal=[1, 2])


def build(make, **head):
    torch.manual_seed(0)
    model = make.cam(
        head=head,
        backbone=nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1)),
        data_preprocessor=dict(mean=[127.] * 3, std=[64.] * 3, to_rgb=True))
    model.head.classifier.weight.data.normal_(std=3)
    return model.eval()


def resize(maps, size):
    maps = torch.tensor(maps)[None]
    return nn.functional.interpolate(maps, tuple(size), mode='bilinear')[0]


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


def by_hand(model, data, rule, normalize):
    """Maps and scores of all anchors, one augmentation after the other."""
    data, maps, scores = copy.deepcopy(data), [], []
    for images, samples in zip(data['inputs'], data['data_samples']):
        flip = samples[0].flip_direction
        found = model.test_step(dict(inputs=images, data_samples=samples))
        scores.append([s.pred_score.numpy() for s in found])
        maps.append([s.class_maps.flip(DIMS.get(flip, [])) for s in found])
    merged = []
    for views in zip(*maps):
        goal = np.max([m.shape[1:] for m in views], 0).tolist()
        views = [resize(m.numpy(), goal) for m in views]
        if normalize:
            views = [m / m.amax((1, 2), True).clamp(min=1e-20) for m in views]
        merged.append(getattr(np, rule)(np.stack(views), axis=0))
    return merged, np.mean(scores, 0)


AUGS = [(1, None), (1, 'horizontal'), (1.5, None), (1.5, 'diagonal'),
        (.5, 'vertical')]


@pytest.mark.parametrize('k, groups, shapes, kwargs, rule', [
    (1, 4, ((24, 20), (16, 28)), dict(), 'mean'),
    (3, 2, ((24, 20), ), dict(), 'mean'),
    (2, 3, ((24, 20), (16, 28), (12, 12)), dict(), 'mean'),
    (2, 3, ((24, 20), (16, 28)), dict(merge='max'), 'max'),
    (3, 2, ((24, 20), ), dict(normalize=True), 'mean'),
    (2, 2, ((24, 20), ), dict(batch_augs=False), 'mean'),
])
def test_equals_a_loop_over_augmentations(make, k, groups, shapes, kwargs,
                                          rule):
    model = build(make)
    data = batch(AUGS, k, groups, shapes=shapes)
    maps, scores = by_hand(model, data, rule, kwargs.get('normalize', False))
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


@pytest.mark.parametrize('k, labels', [(1, None), (2, LABELS)])
def test_one_augmentation_is_the_plain_prediction(make, k, labels):
    model = build(make)
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


def test_a_flip_pair_is_one_batch(make):
    model, calls = build(make), []
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


@pytest.mark.parametrize('rule', [dict(topk=2), dict(thr=.55)])
def test_labels_of_the_mean_score(make, rule):
    """Without labels, maps are of what the mean score predicts."""
    model = build(make, **rule)
    data = batch(AUGS[::-1], groups=12, labels=None, shapes=((6, 8), ))
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
                    part = part.flip(DIMS.get(v.flip_direction, []))
                    parts.append(resize(part.numpy(), found.shape)[0])
            np.testing.assert_allclose(
                found, torch.stack(parts).mean(0), atol=1e-6)
    assert differ


def test_no_class_and_no_activation(make):
    model = build(make)
    sample, = GroupCAMTTA(model).test_step(batch(AUGS, labels=[[]]))
    assert sample.class_maps.shape == (0, 18, 15)
    model.head.classifier.weight.data.zero_()
    model.head.classifier.bias.data.fill_(-1)
    sample, = GroupCAMTTA(model, normalize=True).test_step(batch(AUGS))
    assert sample.class_maps.shape == (2, 18, 15)
    assert not sample.class_maps.any()


def test_wrong_options_and_batches(make):
    tta, data = GroupCAMTTA(build(make)), batch(AUGS[:2])
    with pytest.raises(InputError, match="merge of GroupCAMTTA is 'sum'"):
        GroupCAMTTA(tta.module, merge='sum')
    plain = {key: value[0] for key, value in copy.deepcopy(data).items()}
    with pytest.raises(InputError, match='must end with TestTimeAug'):
        tta.test_step(plain)
    for key, words in (('flip', 'meta_keys'), ('flip_direction', 'undone')):
        broken = copy.deepcopy(data)
        for samples in broken['data_samples']:
            samples[0].pop(key)
        with pytest.raises(InputError, match=f"'n0'.*{words}"):
            tta.test_step(broken)
