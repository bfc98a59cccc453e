# Copyright (c) group_wsss contributors. All rights reserved.
"""``LoadScores`` and ``PackScores`` around the pipeline of mmseg."""
import json

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.registry import TRANSFORMS, DefaultScope
from PIL import Image

from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError

LABELS = (3, 7)


@pytest.fixture
def dump(tmp_path):
    """An image whose colours tell label and scores of each pixel."""
    rng = np.random.default_rng(0)
    # smooth, and of the image's size: no resize of the scores
    coarse = rng.random((2, 6, 8)).astype(np.float32)
    maps = ScoreMap('x', (48, 64), [0, 1], coarse).resize().maps
    label = np.where(maps.max(0) > 0.5, np.array(LABELS)[maps.argmax(0)], 0)
    label[:5, :9] = 255
    values = np.rint(maps.astype(np.float16).astype(np.float32) * 254)
    # blue is the label, green and red are the scores
    image = np.stack([label, *values], axis=-1).astype(np.uint8)
    (tmp_path / 'sub').mkdir()
    Image.fromarray(label.astype(np.uint8)).save(tmp_path / 'sub/x.1.png')
    ids = [n - 1 for n in LABELS]
    ScoreMap('sub/x.1', (48, 64), ids,
             maps).save(str(tmp_path / 'scores/sub/x.1.npz'))
    return tmp_path, image


def run(dump, *steps, load=None, pack=None, **changes):
    folder, image = dump
    results = dict(
        img=image.copy(),
        img_path='image.jpg',
        seg_map_path=str(folder / 'sub/x.1.png'),
        seg_fields=[],
        reduce_zero_label=False,
        label_map=None,
        img_shape=image.shape[:2],
        ori_shape=image.shape[:2])
    results.update(changes)
    with DefaultScope.overwrite_default_scope('mmseg'):
        pipeline = Compose([
            dict(type='LoadAnnotations', imdecode_backend='pillow'), load
            or dict(type='group_wsss.LoadScores'), *steps, pack
            or dict(type='group_wsss.PackScores')
        ])
        return pipeline(results)


def aligned(packed, unknown=True):
    """Every pixel still says what its label and its scores are."""
    image = packed['inputs'].numpy().astype(int)
    sample = packed['data_samples']
    label = sample.gt_sem_seg.data[0].numpy()
    scores = sample.gt_scores.data
    assert sample.score_labels == list(LABELS)
    assert scores.dtype == torch.float32
    assert scores.shape == (2, *image.shape[1:])
    assert scores.min() >= 0 and scores.max() <= 1
    np.testing.assert_array_equal(image[0], label)
    np.testing.assert_array_equal(image[1:], (scores * 254).round().numpy())
    return sample


def test_as_it_was_dumped(dump):
    folder, image = dump
    sample = aligned(run(dump))
    dumped = ScoreMap.load(str(folder / 'scores/sub/x.1.npz')).maps
    np.testing.assert_allclose(
        sample.gt_scores.data, dumped, atol=0.5 / 254 + 1e-6)
    assert sample.metainfo['img_path'] == 'image.jpg'


def test_through_the_pipeline_of_mmseg(dump):
    """Resize, crop and flip move label and scores with the image."""
    seen = set()
    for seed in range(8):
        np.random.seed(seed)
        packed = run(
            dump,
            # nearest for the image as well: else its colours mix
            dict(
                type='RandomResize',
                scale=(96, 64),
                ratio_range=(0.5, 2.),
                keep_ratio=True,
                interpolation='nearest'),
            dict(type='RandomCrop', crop_size=(32, 40), cat_max_ratio=0.75),
            dict(
                type='RandomFlip',
                prob=[0.4, 0.4],
                direction=['horizontal', 'vertical']))
        sample = aligned(packed)
        seen.add((sample.flip_direction, sample.scale_factor))
        assert sample.gt_scores.data.std() > 0.05
    assert len({flip for flip, _ in seen}) == 3 and len(seen) > 4


def test_what_is_cut_out_or_turned_in_is_unknown(dump):
    packed = run(
        dump,
        dict(
            type='RandomCutOut',
            prob=1.,
            n_holes=1,
            cutout_shape=(20, 20),
            seg_fill_in=255))
    sample = packed['data_samples']
    hole = (sample.gt_scores.data == -1).all(0)
    assert 20 < hole.sum() <= 400
    assert (sample.gt_sem_seg.data[0][hole] == 255).all()
    np.random.seed(0)
    packed = run(dump, dict(type='RandomRotate', prob=1., degree=(30, 31)))
    sample = packed['data_samples']
    corner = (sample.gt_scores.data == -1).all(0)
    assert corner[0, 0] and corner.sum() > 100
    assert (sample.gt_sem_seg.data[0][corner] == 255).all()


@pytest.mark.parametrize('maps, ids', [
    (np.array([[[0., 1.], [1., 0.]]]), [2]),
    (np.zeros((0, 3, 4)), []),
])
def test_coarse_scores_are_enlarged(dump, maps, ids):
    score_map = ScoreMap('sub/x.1', (48, 64), ids, maps)
    score_map.save(str(dump[0] / 'scores/sub/x.1.npz'))
    pack = dict(type='group_wsss.PackScores', meta_keys=('ori_shape', ))
    sample = run(dump, pack=pack)['data_samples']
    np.testing.assert_allclose(
        sample.gt_scores.data, score_map.resize().maps, atol=0.5 / 254 + 1e-6)
    assert sample.score_labels == [i + 1 for i in ids]
    assert set(
        sample.metainfo) == {'ori_shape', 'score_labels', 'score_threshold'}


def test_threshold_and_folder_of_its_own(dump):
    folder, _ = dump
    assert run(dump)['data_samples'].score_threshold is None
    manifest = dict(
        classes=['background', 'x'],
        labeler=dict(type='group_wsss.ThresholdLabeler', bg_threshold='otsu'),
        chosen_thresholds=[0.1, 0.375])
    (folder / 'manifest.json').write_text(json.dumps(manifest))
    assert run(dump)['data_samples'].score_threshold == 0.375
    (folder / 'scores').rename(folder / 'elsewhere')
    with pytest.raises(InputError, match='keep_scores=True'):
        run(dump)
    load = dict(
        type='group_wsss.LoadScores', scores_dir=f'{folder}/elsewhere/')
    assert 'elsewhere' in repr(TRANSFORMS.build(load))
    assert aligned(run(dump, load=load)).score_threshold == 0.375
    (folder / 'manifest.json').write_text('{"labeler"')
    with pytest.raises(InputError, match='manifest.json: not JSON'):
        run(dump, load=load)


@pytest.mark.parametrize(
    'step',
    [
        # one that only knows gt_seg_map
        dict(type='mmcv.RandomFlip', prob=1.),
        dict(type='mmcv.Resize', scale=(32, 24)),
        dict(type='mmcv.Pad', size=(80, 80)),
        dict(type='RandomFlip', prob=1., swap_seg_labels=[(1, 2)]),
    ],
    ids=lambda step: step['type'])
def test_what_leaves_the_scores_behind_is_refused(dump, step):
    with pytest.raises(InputError, match='gt_seg_map alone') as caught:
        run(dump, step)
    assert 'image.jpg' in str(caught.value) and '\n' not in str(caught.value)


def test_wrong_order(dump):
    load = dict(type='Resize', scale=(32, 24))
    with pytest.raises(InputError, match='right after LoadAnnotations'):
        run(dump, dict(type='group_wsss.LoadScores'), load=load)
    with pytest.raises(InputError, match='LoadScores after'):
        run(dump, load=dict(type='RandomFlip', prob=0.))
    with pytest.raises(InputError, match='renumbers'):
        run(dump, label_map={1: 0})
    with pytest.raises(InputError, match='renumbers'):
        run(dump, reduce_zero_label=True)


def test_damaged_scores(dump):
    (dump[0] / 'scores/sub/x.1.npz').write_bytes(b'no scores')
    with pytest.raises(InputError, match='x.1.npz: not a score map'):
        run(dump)
