# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.pseudo_labels import (BaseRefiner, LabelDump, Refiners,
                                      ThresholdLabeler)
from group_wsss.pseudo_labels.thresholds import (ThresholdRule, otsu,
                                                 score_histogram)
from group_wsss.structures import DumpWriter, ScoreMap, read_index_png
from group_wsss.utils.errors import InputError


class Square(BaseRefiner):
    needs_image = False

    def refine(self, maps, image=None):
        return maps**2


class Above(ThresholdRule, BaseRefiner):
    """Scores below the threshold are 0."""

    def __init__(self, bg_threshold):
        self.set_threshold(bg_threshold)

    def refine(self, maps, image=None):
        assert image.shape[2] == 3
        return np.where(maps > self.need_threshold(), maps, np.float32(0))


def _score_maps(count=5):
    rng = np.random.default_rng(0)
    # float16, as maps that wait
    return [
        ScoreMap(f'd/{i}', (6, 8), [i % 3, 3],
                 rng.beta(1, 2, (2, 3, 4)).astype(np.float16))
        for i in range(count)
    ]


def _image():
    return np.zeros((6, 8, 3), np.uint8)


def _dump(folder, labeler, refiners=(), maps=None, **kwargs):
    writer = DumpWriter(str(folder), list('abcd'))
    writer.begin()
    dump = LabelDump(writer, labeler, Refiners(refiners), **kwargs)
    for score_map in maps or _score_maps():
        dump.take(score_map, _image)
    return dump


def _publish(dump):
    dump.finish(lambda dump: dump.histogram)
    dump.clean_up()
    dump.writer.finish(chosen_thresholds=dump.thresholds)


def _labels(folder):
    return [read_index_png(str(folder / f'd/{i}.png')) for i in range(5)]


def test_a_number_labels_at_once(tmp_path):
    dump = _dump(tmp_path, ThresholdLabeler(.3), [Square()])
    assert not dump.waits and len(dump.writer.counts) == 5
    _publish(dump)
    for got, score_map in zip(_labels(tmp_path), _score_maps()):
        want = ThresholdLabeler(.3)(Square()(score_map))
        np.testing.assert_array_equal(got, want)
    assert not (tmp_path / 'scores').exists() and not dump.thresholds


def test_a_rule_waits_for_all(tmp_path):
    dump = _dump(tmp_path, ThresholdLabeler('otsu'))
    assert dump.waits and not dump.writer.counts
    _publish(dump)
    threshold = otsu(sum(map(score_histogram, _score_maps())))
    assert dump.thresholds == [threshold] and .1 < threshold < .9
    for got, score_map in zip(_labels(tmp_path), _score_maps()):
        np.testing.assert_array_equal(got,
                                      ThresholdLabeler(threshold)(score_map))
    names = [p.name for p in tmp_path.rglob('*') if p.suffix == '.npz']
    assert not names  # what waited is gone


def test_two_rules_and_kept_scores(tmp_path):
    steps = [Square(), Above('otsu'), Square()]
    dump = _dump(tmp_path, ThresholdLabeler('otsu'), steps, keep_scores=True)
    _publish(dump)

    def rounded(score_map):
        return ScoreMap(score_map.img_id, score_map.ori_shape,
                        score_map.class_ids, score_map.maps.astype(np.float16))

    maps = [rounded(Square()(m)) for m in _score_maps()]
    first = otsu(sum(map(score_histogram, maps)))
    maps = [rounded(Square()(Above(first)(m, _image()))) for m in maps]
    second = otsu(sum(map(score_histogram, maps)))
    assert dump.thresholds == [first, second] and first != second
    other = LabelDump(dump.writer, ThresholdLabeler('otsu'), Refiners(steps))
    other.resume(dump.thresholds)  # as another process goes on
    assert other.labeler.bg_threshold == second and not other.waits
    for i, (got, score_map) in enumerate(zip(_labels(tmp_path), maps)):
        np.testing.assert_array_equal(got, ThresholdLabeler(second)(score_map))
        saved = ScoreMap.load(str(tmp_path / f'scores/d/{i}.npz'))
        np.testing.assert_array_equal(saved.maps, score_map.maps)
    assert not (tmp_path / 'waiting').exists()


def test_a_image_counts_once(tmp_path):
    maps = _score_maps()
    one = _dump(tmp_path / 'one', ThresholdLabeler('otsu'))
    # the second process has an image of the first, and one of its own twice
    parts = [
        _dump(tmp_path / 'two', ThresholdLabeler('otsu'), maps=maps[:3]),
        _dump(
            tmp_path / 'three',
            ThresholdLabeler('otsu'),
            maps=maps[2:] + maps[-1:])
    ]
    parts[1].leave_out(['d/0', 'd/1', 'd/2'])
    np.testing.assert_array_equal(parts[0].histogram + parts[1].histogram,
                                  one.histogram)
    assert one.histogram.any()


def test_a_class_too_many(tmp_path):
    bad = ScoreMap('x', (6, 8), [4], np.zeros((1, 3, 4)))
    with pytest.raises(InputError, match="'x': class id 4.* 4 classes"):
        _dump(tmp_path, ThresholdLabeler(.3), maps=[bad])


def test_what_is_stored_is_counted(tmp_path):
    # float16 rounds it down to an edge between two bins
    score_map = ScoreMap('x', (1, 1), [1],
                         np.full((1, 1, 1), 0.5 + 1e-5, np.float32))
    dump = _dump(tmp_path, ThresholdLabeler('otsu'), maps=[score_map])
    before = score_histogram(score_map)
    assert dump.histogram.argmax() == before.argmax() - 1
    dump.leave_out(['x'])
    assert not dump.histogram.any()
