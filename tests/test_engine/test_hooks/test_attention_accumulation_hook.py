# Copyright (c) group_wsss contributors. All rights reserved.
import json
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from group_wsss.engine import AttentionAccumulationHook
from group_wsss.engine.geometry import check_shape
from group_wsss.engine.utils import loss_samples
from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import ScoreMap, read_index_png
from group_wsss.utils.errors import InputError


@pytest.fixture
def train(toy):
    """Train with the hook; the samples that the model has seen."""

    def do(*args, others=(), model=None, **options):
        names = ('out_dir', 'begin_epoch', 'begin_iter', 'anchors_only',
                 'keep_last', 'stride', 'flush_interval', 'labeler')
        own = {key: options.pop(key) for key in names if key in options}
        model = model or toy.model()
        hooks = [AttentionAccumulationHook(**own), *others]
        toy(hooks, *args, model=model, **options).train()
        assert not model._forward_hooks
        return model.seen

    return do


@pytest.fixture
def merged(toy):
    return toy.work / 'attention' / 'merged'


@pytest.mark.parametrize('anchors_only', (True, False))
@pytest.mark.parametrize('begin_epoch', (0, 1, 2))
def test_equals_the_offline_maximum(toy, train, merged, begin_epoch,
                                    anchors_only):
    seen = train(
        model=toy.model(group_size=2),
        batch_size=4,
        begin_epoch=begin_epoch,
        anchors_only=anchors_only)
    # 6 images: 2 iterations an epoch, 4 epochs
    seen = [item for item in seen if item[0] >= 2 * begin_epoch]
    expected = toy.offline(seen, 2 if anchors_only else 1, last=(6, 7))
    assert len({img_id for img_id, _ in expected}) > 3
    toy.assert_maximum(merged, expected)


def test_last_epoch_fills_gaps_only_if_wanted(toy, train):
    for keep_last, last in ((True, (6, 7)), (False, ())):
        out = toy.root / str(keep_last)
        seen = train(out_dir=str(out), keep_last=keep_last, batch_size=3)
        seen = [item for item in seen if item[0] >= 2]
        expected = toy.offline(seen, last=last)
        toy.assert_maximum(out / 'merged', expected)
        # the second class of sub/1 never reaches min_score
        assert (('sub/1', 2) in expected) == keep_last


@pytest.mark.parametrize('by_epoch, flush, kept',
                         ((True, None, 6), (True, 1, 7), (False, None, 4),
                          (False, 2, 6)))
def test_killed_and_resumed(toy, train, merged, by_epoch, flush, kept):
    # 3 iterations an epoch; killed in the middle of the third epoch
    options = dict(
        by_epoch=by_epoch, length=4 if by_epoch else 12, flush_interval=flush)
    if not by_epoch:
        options.update(
            begin_iter=3, checkpoint=dict(interval=4, by_epoch=False))
    first, second = toy.model(), toy.model()
    first.stop_after = 7
    with pytest.raises(KeyboardInterrupt):
        train(model=first, **options)
    second.step = 6 if by_epoch else 4
    train(model=second, resume=True, **options)
    assert second.step == 12
    # what was neither flushed nor in a checkpoint is lost with the process
    seen = [item for item in first.seen if 3 <= item[0] < kept]
    toy.assert_maximum(merged,
                       toy.offline(seen + second.seen, last=(9, 10, 11)))


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


def test_another_world_size_on_resume(toy, train, merged):
    """Files of a rank that no longer exists are merged as well."""
    seen = train(keep_last=False)
    extra = ScoreMap('sub/3', (14, 12), [0, 1], np.full((2, 7, 6), .5))
    extra.save(str(merged.parent / 'rank5' / 'sub' / '3.npz'))
    shutil.rmtree(merged)
    # nothing is left to train: only the merge runs
    train(keep_last=False, resume=True)
    expected = toy.offline([item for item in seen if item[0] >= 3])
    for key in (('sub/3', 0), ('sub/3', 1)):
        expected[key] = np.maximum(expected.get(key, 0), np.float32(.5))
        assert expected[key].shape == (7, 6)
    toy.assert_maximum(merged, expected)


def test_a_fresh_run_forgets_the_run_before(toy, train, merged):
    train()
    stale = ScoreMap('stale', (4, 4), [0], np.ones((1, 2, 2)))
    for name in ('rank3', 'rank3_last'):
        stale.save(str(merged.parent / name / 'stale.npz'))
    (merged.parent / 'notes.txt').write_text('mine')
    seen = train(keep_last=False)
    toy.assert_maximum(merged,
                       toy.offline([item for item in seen if item[0] >= 3]))
    assert (merged.parent / 'notes.txt').read_text() == 'mine'


def test_iterations_count_passes_over_the_images(toy, train, merged):
    seen = train(by_epoch=False, length=8)
    # 6 images by 2: a pass has 3 iterations
    seen = [item for item in seen if item[0] >= 3]
    toy.assert_maximum(merged, toy.offline(seen, last=(5, 6, 7)))


def test_fixed_stride(train, merged):
    train(stride=5, begin_epoch=0, length=1)
    for i in range(6):
        score_map = ScoreMap.load(str(merged / f'sub/{i}.npz'))
        assert score_map.maps.shape[1:] == (-(-(8 + 2 * i) // 5), 3)


def test_labels_of_the_merged_maps(toy, train, merged, monkeypatch):
    monkeypatch.setattr(ThresholdLabeler, 'supervision', 'A', raising=False)
    train(labeler=dict(type='group_wsss.ThresholdLabeler', bg_threshold=.5))
    out = toy.work / 'pseudo_labels_accumulated'
    paths = list(merged.rglob('*.npz'))
    for score_map in (ScoreMap.load(str(path)) for path in paths):
        np.testing.assert_array_equal(
            read_index_png(str(out / f'{score_map.img_id}.png')),
            ThresholdLabeler(.5)(score_map))
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['images'] == len(paths) == len(list(out.rglob('*.png')))
    assert manifest['checkpoint']['name'] == 'epoch_4.pth'
    assert manifest['supervision'] == ['I', 'A']


def test_samples_of_a_pass_with_losses():
    for args, kwargs in ((('x', 'y', 'loss'), {}),
                         (('x', ), dict(data_samples='y', mode='loss'))):
        assert loss_samples(args, kwargs) == 'y'
    assert loss_samples(('x', ), dict(mode='loss')) == ()
    assert loss_samples(('x', 'y'), {}) is None
    assert loss_samples(('x', 'y'), dict(mode='predict')) is None


class RandomResizedCrop:
    pass


class RandomFlip:
    pass


class PackInputs:
    meta_keys = ('img_id', 'flip')


class Nested:

    def __init__(self, *transforms):
        self.transforms = list(transforms)


@pytest.mark.parametrize('pipeline, augments, match', (
    ([RandomResizedCrop()], None, 'RandomResizedCrop'),
    ([Nested(Nested(RandomResizedCrop()))], None, 'RandomResizedCrop'),
    ([RandomFlip(), PackInputs()], None, "PackInputs.*'flip_direction'"),
    ([], object(), 'batch_augments'),
))
def test_what_cannot_be_undone(toy, pipeline, augments, match):
    dataset, model = toy.dataset(), toy.model()
    dataset.pipeline = Nested(*pipeline)
    model.data_preprocessor.batch_augments = augments
    with pytest.raises(InputError, match=match):
        toy([AttentionAccumulationHook()], dataset=dataset,
            model=model).train()
    assert model.step == 0


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
    sample = dict(img_id='photo', ori_shape=ori, img_shape=img)
    if scale is not None:
        sample['scale_factor'] = scale
    with nullcontext() if good else pytest.raises(
            InputError, match='photo.*crop'):
        check_shape(sample)


def test_samples_without_maps_are_refused(toy, train):

    class Plain(toy.model):

        def forward(self, inputs, data_samples=None, mode='tensor'):
            return dict(loss=(self.weight**2).sum())

    with pytest.raises(InputError, match='class_maps'):
        train(model=Plain(), begin_epoch=0)


def test_a_score_of_a_tenth_is_enough(toy, train, merged):
    """The default of ``min_score``, which the published code has."""

    class Scores(toy.model):

        def forward(self, inputs, data_samples=None, mode='tensor'):
            losses = super().forward(inputs, data_samples, mode)
            for sample in data_samples:
                low = float(sample.img_id == 'sub/1')
                sample.pred_score = torch.full((3, ), 0.1) - 0.001 * low
            return losses

    train(model=Scores(), begin_epoch=0, keep_last=False, length=1)
    found = {path.stem for path in merged.rglob('*.npz')}
    assert found == set('02345')
