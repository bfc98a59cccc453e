# Copyright (c) group_wsss contributors. All rights reserved.
"""The steps of a pipeline against a plain loop over all images."""
import numpy as np

from group_wsss.pseudo_labels import (LabelDump, LabelPipeline, Refiners,
                                      ThresholdLabeler)
from group_wsss.pseudo_labels.thresholds import otsu, score_histogram
from group_wsss.structures import DumpWriter, ScoreMap


def half(score_map, image=None):
    return ScoreMap(score_map.img_id, score_map.ori_shape, score_map.class_ids,
                    score_map.maps / 2)


def score_maps(rng, count=4):
    return [
        ScoreMap(f'{i}', (6, 5), [1], rng.random((1, 6, 5), np.float32))
        for i in range(count)
    ]


def test_nothing_waits_for_a_number(rng=np.random.default_rng(0)):
    pipeline = LabelPipeline(ThresholdLabeler(0.2), Refiners([half]))
    assert not pipeline.waits
    for score_map in score_maps(rng):
        refined, label = pipeline.advance(score_map)
        np.testing.assert_array_equal(refined.maps, score_map.maps / 2)
        np.testing.assert_array_equal(
            label, np.where(score_map.maps[0] / 2 > np.float32(0.2), 2, 0))


def test_a_rule_waits_for_all():
    pipeline = LabelPipeline(ThresholdLabeler('otsu'), Refiners([half]))
    maps = score_maps(np.random.default_rng(1))
    assert pipeline.waits
    held = []
    for score_map in maps:
        refined, label = pipeline.advance(score_map)
        assert label is None
        pipeline.count(refined)
        held.append(refined)
    want = otsu(sum(score_histogram(half(m)) for m in maps))
    pipeline.fit(pipeline.histogram)
    assert pipeline.thresholds == [want] and not pipeline.waits
    assert not pipeline.histogram.any()
    for score_map, refined in zip(maps, held):
        again, label = pipeline.advance(refined)  # not refined twice
        np.testing.assert_array_equal(again.maps, score_map.maps / 2)
        np.testing.assert_array_equal(
            label, np.where(score_map.maps[0] / 2 > np.float32(want), 2, 0))


def test_a_dump_counts_the_scores_that_it_stores(tmp_path):
    writer = DumpWriter(str(tmp_path / 'out'), ('a', 'b'))
    writer.begin()
    dump = LabelDump(writer, ThresholdLabeler('otsu'))
    # float16 rounds it down to an edge between two bins
    score_map = ScoreMap('x', (1, 1), [1],
                         np.full((1, 1, 1), 0.5 + 1e-5, np.float32))
    dump.take(score_map)
    before = score_histogram(score_map)
    assert dump.histogram.argmax() == before.argmax() - 1
    dump.leave_out(['x'])
    assert not dump.histogram.any()
