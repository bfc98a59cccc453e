# Copyright (c) group_wsss contributors. All rights reserved.
import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from group_wsss.engine import AttentionAccumulationHook
from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import ScoreMap, read_index_png
from group_wsss.utils.errors import InputError


def _offline(seen, group_size=1, min_score=.1, last=()):
    """Maximum by plain loops; ``last`` holds the steps of the last pass."""
    strong, weak = {}, {}
    for step, slot, sample in seen:
        if slot % group_size:
            continue
        for class_id, values in zip(sample.class_ids, sample.class_maps):
            values = values.numpy()
            values = values / values.max()
            direction = sample.flip_direction if sample.flip else ''
            if direction in ('vertical', 'diagonal'):
                values = values[::-1]
            if direction in ('horizontal', 'diagonal'):
                values = values[:, ::-1]
            key = sample.img_id, int(class_id)
            found = sample.pred_score[class_id] >= min_score
            if not found and step not in last:
                continue
            table = strong if found else weak
            table[key] = np.maximum(table.get(key, 0), values)
    return {
        key: values.astype(np.float16).astype(np.float32)
        for key, values in {
            **weak,
            **strong
        }.items()
    }


def _stored(folder):
    out = {}
    for path in folder.rglob('*.npz'):
        score_map = ScoreMap.load(str(path))
        name = path.relative_to(folder).with_suffix('').as_posix()
        assert score_map.img_id == name
        for class_id, values in zip(score_map.class_ids, score_map.maps):
            out[name, int(class_id)] = values
    return out


def _assert_equal(got, expected):
    assert got.keys() == expected.keys()
    for key in got:
        np.testing.assert_array_equal(got[key], expected[key], str(key))


@pytest.mark.parametrize('anchors_only', (True, False))
@pytest.mark.parametrize('begin_epoch', (0, 1, 2))
def test_equals_the_offline_maximum(toy, begin_epoch, anchors_only):
    model = toy.model(group_size=2)
    hook = AttentionAccumulationHook(
        begin_epoch=begin_epoch, anchors_only=anchors_only)
    toy([hook], model=model, batch_size=4).train()
    # 6 images: 2 iterations an epoch, 4 epochs
    seen = [item for item in model.seen if item[0] >= 2 * begin_epoch]
    expected = _offline(seen, 2 if anchors_only else 1, last=(6, 7))
    assert len({img_id for img_id, _ in expected}) > 3
    _assert_equal(_stored(toy.root / 'work/attention/merged'), expected)
    assert not model._forward_hooks


def test_last_epoch_fills_gaps_only_if_wanted(toy):
    models, stored = [], []
    for keep_last in (True, False):
        model = toy.model()
        hook = AttentionAccumulationHook(
            out_dir=str(toy.root / str(keep_last)), keep_last=keep_last)
        toy([hook], model=model, batch_size=3).train()
        models.append(model)
        stored.append(_stored(toy.root / str(keep_last) / 'merged'))
    # the second class of sub/1 never reaches min_score
    assert ('sub/1', 2) in stored[0] and ('sub/1', 2) not in stored[1]
    seen = [item for item in models[1].seen if item[0] >= 2]
    _assert_equal(stored[1], _offline(seen))


@pytest.mark.parametrize('by_epoch, flush',
                         ((True, None), (True, 1), (False, None), (False, 2)))
def test_killed_and_resumed(toy, by_epoch, flush):

    def hook():
        options = {} if by_epoch else dict(begin_iter=3)
        return AttentionAccumulationHook(flush_interval=flush, **options)

    # 3 iterations an epoch; killed in the middle of the third epoch
    length = 4 if by_epoch else 12
    checkpoint = None if by_epoch else dict(interval=4, by_epoch=False)
    first = toy.model()
    first.stop_after = 7
    with pytest.raises(KeyboardInterrupt):
        toy([hook()], by_epoch, length, model=first,
            checkpoint=checkpoint).train()
    second = toy.model()
    second.step = 6 if by_epoch else 4
    toy([hook()],
        by_epoch,
        length,
        model=second,
        checkpoint=checkpoint,
        resume=True).train()
    assert second.step == 12
    # what was neither flushed nor in a checkpoint is lost with the process
    kept = 7 if flush == 1 else 6
    if not by_epoch:
        kept = 6 if flush == 2 else 4
    seen = [item for item in first.seen if 3 <= item[0] < kept]
    expected = _offline(seen + second.seen, last=(9, 10, 11))
    _assert_equal(_stored(toy.root / 'work/attention/merged'), expected)


@pytest.mark.parametrize('by_epoch', (True, False))
def test_files_know_all_before_a_checkpoint_is_saved(toy, by_epoch):
    hook = AttentionAccumulationHook(begin_epoch=0)
    pending = []

    class Watch(Hook):

        def before_save_checkpoint(self, runner, checkpoint):
            pending.append(len(hook._maps) + len(hook._last))

    # 2 epochs of 3 iterations, or a checkpoint every 2 of 6 iterations
    length, interval = (2, 1) if by_epoch else (6, 2)
    toy([hook, Watch()],
        by_epoch,
        length,
        checkpoint=dict(interval=interval, by_epoch=by_epoch)).train()
    assert pending == [0] * (2 if by_epoch else 3)


def test_another_world_size_on_resume(toy):
    """Files of a rank that no longer exists are merged as well."""
    model = toy.model()
    toy([AttentionAccumulationHook(keep_last=False)], model=model).train()
    attention = toy.root / 'work' / 'attention'
    extra = ScoreMap('sub/3', (14, 12), [0, 1], np.full((2, 7, 6), .5))
    extra.save(str(attention / 'rank5' / 'sub' / '3.npz'))
    shutil.rmtree(attention / 'merged')
    # nothing is left to train: only the merge runs
    toy([AttentionAccumulationHook(keep_last=False)], resume=True).train()
    expected = _offline([item for item in model.seen if item[0] >= 3])
    for class_id in (0, 1):
        key = 'sub/3', class_id
        expected[key] = np.maximum(expected.get(key, 0), np.float32(.5))
        assert expected[key].shape == (7, 6)
    _assert_equal(_stored(attention / 'merged'), expected)


def test_a_fresh_run_forgets_the_run_before(toy):
    toy([AttentionAccumulationHook()]).train()
    attention = toy.root / 'work' / 'attention'
    stale = ScoreMap('stale', (4, 4), [0], np.ones((1, 2, 2)))
    stale.save(str(attention / 'rank3' / 'stale.npz'))
    (attention / 'notes.txt').write_text('mine')
    model = toy.model()
    toy([AttentionAccumulationHook(keep_last=False)], model=model).train()
    expected = _offline([item for item in model.seen if item[0] >= 3])
    _assert_equal(_stored(attention / 'merged'), expected)
    assert (attention / 'notes.txt').read_text() == 'mine'


def test_iterations_count_passes_over_the_images(toy):
    model = toy.model()
    hook = AttentionAccumulationHook(begin_epoch=1)
    toy([hook], by_epoch=False, length=8, model=model).train()
    # 6 images by 2: a pass has 3 iterations
    seen = [item for item in model.seen if item[0] >= 3]
    expected = _offline(seen, last=(5, 6, 7))
    _assert_equal(_stored(toy.root / 'work/attention/merged'), expected)


def test_fixed_stride(toy):
    toy([AttentionAccumulationHook(stride=5, begin_epoch=0)], length=1).train()
    merged = toy.root / 'work/attention/merged'
    for i in range(6):
        score_map = ScoreMap.load(str(merged / f'sub/{i}.npz'))
        assert score_map.maps.shape[1:] == (-(-(8 + 2 * i) // 5), 3)


def test_labels_of_the_merged_maps(toy, monkeypatch):
    monkeypatch.setattr(ThresholdLabeler, 'supervision', 'A', raising=False)
    labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold=.5)
    toy([AttentionAccumulationHook(labeler=labeler)]).train()
    work = toy.root / 'work'
    merged = sorted((work / 'attention/merged').rglob('*.npz'))
    out = work / 'pseudo_labels_accumulated'
    for path in merged:
        score_map = ScoreMap.load(str(path))
        np.testing.assert_array_equal(
            read_index_png(str(out / f'{score_map.img_id}.png')),
            ThresholdLabeler(.5)(score_map))
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['images'] == len(merged) == len(list(out.rglob('*.png')))
    assert manifest['checkpoint']['name'] == 'epoch_4.pth'
    assert manifest['supervision'] == ['I', 'A']


class RandomResizedCrop:
    pass


class RandomFlip:
    pass


class PackInputs:
    meta_keys = ('img_id', 'flip')


class Nested:

    def __init__(self, *transforms):
        self.transforms = list(transforms)


@pytest.mark.parametrize('pipeline, match', (
    ([RandomResizedCrop()], 'RandomResizedCrop'),
    ([Nested(Nested(RandomResizedCrop()))], 'RandomResizedCrop'),
    ([RandomFlip(), PackInputs()], "PackInputs.*'flip_direction'"),
))
def test_pipelines_that_cannot_be_undone(toy, pipeline, match):
    dataset = toy.dataset()
    dataset.pipeline = Nested(*pipeline)
    model = toy.model()
    with pytest.raises(InputError, match=match):
        toy([AttentionAccumulationHook()], dataset=dataset,
            model=model).train()
    assert model.step == 0


def test_batch_augments_are_refused(toy):
    model = toy.model()
    model.data_preprocessor.batch_augments = object()
    with pytest.raises(InputError, match='batch_augments'):
        toy([AttentionAccumulationHook()], model=model).train()


@pytest.mark.parametrize('ori, img, scale, good', (
    ((100, 150), (50, 75), None, True),
    ((375, 500), (256, 341), None, True),
    ((375, 500), (384, 384), (384 / 500, 384 / 375), True),
    ((375, 500), (384, 384), None, False),
    ((375, 500), (224, 224), (341 / 500, 256 / 375), False),
    ((1, 500), (1, 250), None, True),
    ((100, 100, 3), (64, 64, 3), .64, True),
))
def test_shapes_that_are_no_resize(ori, img, scale, good):
    from group_wsss.engine.geometry import check_shape
    sample = dict(img_id='photo', ori_shape=ori, img_shape=img)
    if scale is not None:
        sample['scale_factor'] = scale
    if good:
        check_shape(sample)
    else:
        with pytest.raises(InputError, match='photo.*crop'):
            check_shape(sample)


def test_samples_without_maps_are_refused(toy):

    class Plain(toy.model):

        def forward(self, inputs, data_samples=None, mode='tensor'):
            return dict(loss=(self.weight**2).sum())

    hook = AttentionAccumulationHook(begin_epoch=0)
    with pytest.raises(InputError, match='class_maps'):
        toy([hook], model=Plain()).train()


def test_a_score_of_a_tenth_is_enough(toy):
    """The default of ``min_score``, which the published code has."""

    class Scores(toy.model):

        def forward(self, inputs, data_samples=None, mode='tensor'):
            losses = super().forward(inputs, data_samples, mode)
            for sample in data_samples:
                low = float(sample.img_id == 'sub/1')
                sample.pred_score = torch.full((3, ), 0.1) - 0.001 * low
            return losses

    hook = AttentionAccumulationHook(
        out_dir=str(toy.root / 'maps'),
        begin_epoch=0,
        anchors_only=False,
        keep_last=False)
    toy([hook], model=Scores(), length=1).train()
    found = {name for name, _ in _stored(toy.root / 'maps' / 'merged')}
    assert found == {f'sub/{i}' for i in (0, 2, 3, 4, 5)}
