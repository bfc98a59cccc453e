# Copyright (c) group_wsss contributors. All rights reserved.
import io
import pickle

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement

from group_wsss.structures import ScoreMap
from group_wsss.structures.score_map import resize_maps
from group_wsss.utils.errors import InputError


def _random(seed=0, ids=(4, 1), shape=(5, 7), img_id='x', ori=(33, 50)):
    maps = np.random.default_rng(seed).random((len(ids), *shape))
    return ScoreMap(img_id, ori, ids, maps.astype(np.float32))


def test_each_map_is_divided_by_its_own_maximum():
    maps = np.array([[[-1., 2.], [4., 0.]], [[0., 0.], [0., -3.]]], np.float32)
    score = ScoreMap.from_class_maps('x', (4, 4), [7, 2], maps)
    assert score.class_ids.tolist() == [2, 7]
    np.testing.assert_array_equal(score.maps[1], [[0, .5], [1, 0]])
    assert not score.maps[0].any()


@pytest.mark.parametrize('bad', (np.nan, np.inf))
def test_diverged_maps_name_the_image(bad):
    maps = np.ones((1, 2, 2), np.float32)
    maps[0, 1, 0] = bad
    with pytest.raises(InputError, match='image/7'):
        ScoreMap.from_class_maps('image/7', (2, 2), [0], maps)
    with pytest.raises(InputError, match='image/7'):
        ScoreMap('image/7', (2, 2), [0], maps)


@pytest.mark.parametrize('unit', [1, 2**18])
def test_subnormal_peaks_are_divided_like_others(unit):
    maps = (np.arange(24, dtype=np.uint32) * unit).view(np.float32)
    assert 0 < maps.max() < np.finfo(np.float32).tiny
    maps = maps.reshape(1, 4, 6)
    found = ScoreMap.from_class_maps('x', (4, 6), [0], maps).maps
    assert found.max() == 1 and found.min() == 0
    expected = maps.astype(np.float64) / maps.max()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_bad_id_or_class_is_refused():
    maps = np.zeros((1, 2, 2), np.float32)
    with pytest.raises(InputError, match="contains '..'"):
        ScoreMap('../x', (2, 2), [0], maps)
    for class_id in (-1, 254):
        with pytest.raises(InputError, match=str(class_id)):
            ScoreMap('x', (2, 2), [class_id], maps)


def test_from_sample():
    maps = torch.rand(2, 3, 4, dtype=torch.float64).bfloat16()
    element = BaseDataElement(
        metainfo=dict(img_id='a/b', ori_shape=(30, 40, 3)))
    element.class_ids, element.class_maps = torch.tensor([5, 3]), maps
    sample = element.to_dict()
    for given in (element, sample):
        score = ScoreMap.from_sample(given)
        assert score.img_id == 'a/b' and score.ori_shape == (30, 40)
        assert score.class_ids.tolist() == [3, 5]
        np.testing.assert_allclose(
            score.maps[1], (maps[0].float() / maps[0].float().max()).numpy())
    for key in ('img_id', 'ori_shape', 'class_ids', 'class_maps'):
        with pytest.raises(InputError, match=key):
            ScoreMap.from_sample({k: v for k, v in sample.items() if k != key})


def test_resize_is_bilinear_without_aligned_corners():
    score = _random()
    full = score.resize()
    for size in (None, (375, 500), (3, 700), (4, 5), (1, 1)):
        expected = F.interpolate(
            torch.from_numpy(score.maps)[None],
            size or (33, 50),
            mode='bilinear')[0]
        got = score.resize(size).maps
        assert got.dtype == np.float32 and got.flags.c_contiguous
        np.testing.assert_allclose(got, expected.numpy(), atol=1e-5)
    assert full.maps.max() <= 1 and full.resize() is full
    empty = ScoreMap('x', (33, 50), [], np.zeros((0, 5, 7)))
    assert empty.resize().maps.shape == (0, 33, 50)


def test_resized_views_and_ends():
    maps = np.random.default_rng(0).random((6, 9, 8))
    view = maps[::2, :, ::2].transpose(0, 2, 1)
    np.testing.assert_array_equal(
        resize_maps(view, (30, 20)), resize_maps(view.copy(), (30, 20)))
    ones = resize_maps(np.ones((2, 7, 3), np.float32), (333, 501))
    assert ones.max() <= 1 and ones.min() > 1 - 1e-6
    # threads do not change a bit
    before = cv2.getNumThreads()
    many = resize_maps(maps, (900, 800))
    cv2.setNumThreads(1)
    np.testing.assert_array_equal(resize_maps(maps, (900, 800)), many)
    cv2.setNumThreads(before)


def test_best_takes_the_lowest_id_of_a_tie():
    maps = np.zeros((3, 1, 3), np.float32)
    maps[:, 0, 1] = (.5, .5, .25)
    maps[:, 0, 2] = (.1, .2, .2)
    score, label = ScoreMap('x', (1, 3), [9, 4, 6], maps).best()
    # ascending ids are 4, 6, 9
    assert label.tolist() == [[5, 5, 5]]
    np.testing.assert_allclose(score, [[0, .5, .2]])
    score, label = ScoreMap('x', (1, 3), [], np.zeros((0, 1, 3))).best()
    assert not score.any() and not label.any() and label.dtype == np.uint8


def test_merge_max_against_a_loop():
    first, second = _random(0, (4, 1)), _random(1, (1, 8), (6, 4))
    merged = first.merge_max(second)
    assert merged.class_ids.tolist() == [1, 4, 8]
    for class_id, got in zip(merged.class_ids, merged.maps):
        expected = np.zeros((6, 7), np.float32)  # the larger sides
        for one in (first, second):
            for other_id, values in zip(one.class_ids,
                                        resize_maps(one.maps, (6, 7))):
                if other_id == class_id:
                    expected = np.maximum(expected, values)
        np.testing.assert_array_equal(got, expected)
    for other in (second.merge_max(first), merged.merge_max(second)):
        np.testing.assert_array_equal(other.maps, merged.maps)
    with pytest.raises(InputError, match='y'):
        first.merge_max(_random(img_id='y'))


@pytest.mark.parametrize('ids', ((), (3, ), (200, 0, 17)))
def test_save_and_load_within_float16(ids, tmp_path):
    score = _random(0, ids, (5, 3), img_id='folder/x é')
    path = str(tmp_path / 'sub' / 'x.npz')
    score.save(path)
    back = ScoreMap.load(path)
    assert (back.img_id, back.ori_shape) == (score.img_id, score.ori_shape)
    assert back.class_ids.tolist() == sorted(ids)
    np.testing.assert_array_equal(
        back.maps,
        score.maps.astype(np.float16).astype(np.float32))
    first = open(path, 'rb').read()
    back.save(path)
    assert open(path, 'rb').read() == first


class _Bomb:

    def __reduce__(self):
        return exec, ('raise SystemExit("code of the file was executed")', )


GOOD = dict(
    img_id=np.array('x'),
    ori_shape=np.array([2, 2]),
    class_ids=np.array([0, 3]),
    maps=np.zeros((2, 2, 2), np.float16))


@pytest.mark.parametrize('change', [
    dict(maps=np.array([_Bomb()], dtype=object)),
    dict(maps=None),
    dict(maps=GOOD['maps'].astype(float)),
    dict(maps=GOOD['maps'][:, 0]),
    dict(maps=GOOD['maps'][:1]),
    dict(maps=GOOD['maps'][:, :0]),
    dict(maps=GOOD['maps'] + 2),
    dict(class_ids=np.array([3, 3])),
    dict(class_ids=np.array([0., 3.])),
    dict(ori_shape=np.array([2, 0])),
    dict(ori_shape=np.array([2])),
    dict(img_id=np.array(['x'])),
    dict(img_id=np.array('../x')),
    'npy', 'truncated', 'pickle', 'missing'
])  # yapf: disable
def test_bad_files_are_refused_by_name(change, tmp_path):
    path = tmp_path / 'x.npz'
    arrays = {} if isinstance(change, str) else change
    np.savez(path, **{
        k: v
        for k, v in {
            **GOOD,
            **arrays
        }.items() if v is not None
    })
    if change == 'npy':
        buffer = io.BytesIO()
        np.save(buffer, GOOD['maps'])
        path.write_bytes(buffer.getvalue())
    elif change == 'truncated':
        path.write_bytes(path.read_bytes()[:-100])
    elif change == 'pickle':
        path.write_bytes(pickle.dumps(_Bomb()))
    elif change == 'missing':
        path.unlink()
    with pytest.raises(InputError, match='x.npz: ') as caught:
        ScoreMap.load(str(path))
    assert '\n' not in str(caught.value)


def test_whose_maps(tmp_path):
    path = str(tmp_path / 'x.npz')
    np.savez(path, **GOOD)
    assert ScoreMap.load_of(path, 'x').class_ids.tolist() == [0, 3]
    with pytest.raises(InputError, match="x.npz: .* image 'x', not of 'y'"):
        ScoreMap.load_of(path, 'y')
