# Copyright (c) group_wsss contributors. All rights reserved.
"""What holds for any input, tried on made-up ones.

A bounded number of cases, always the same ones; at least 9,000 with::

    GROUP_WSSS_PROFILE=nightly python -m pytest -q tests/test_properties.py
"""
import math
import os
import tempfile
from itertools import islice

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler

from group_wsss.datasets import GroupBatchSampler, LabelIndex
from group_wsss.engine.accumulator import ScoreAccumulator, merged_maps
from group_wsss.pseudo_labels import Refiners, ThresholdLabeler
from group_wsss.pseudo_labels.refiners.background import (add_background,
                                                          remove_background)
from group_wsss.pseudo_labels.thresholds import (IMAGE_WEIGHT, otsu,
                                                 score_histogram)
from group_wsss.structures import (ImageRecord, ScoreMap, read_image_list,
                                   write_image_list)
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import why_unsafe

hypothesis = pytest.importorskip('hypothesis')
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

NIGHTLY = os.environ.get('GROUP_WSSS_PROFILE') == 'nightly'
COMMON = dict(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck))


def cases(number):
    """A bounded number in the suite, twenty times as many at night."""
    return settings(max_examples=number * (20 if NIGHTLY else 1), **COMMON)


# ---- groups ---------------------------------------------------------------
class Data:
    """Image-level labels and nothing else."""

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def get_cat_ids(self, i):
        return self.labels[i]


label_lists = st.lists(
    st.lists(st.integers(0, 5), max_size=3, unique=True),
    min_size=1,
    max_size=30)


def sampler_of(labels, kind, rank, world_size, group_size, groups, match,
               seed):
    base = kind(Data(labels), shuffle=True, seed=seed)
    base.rank, base.world_size = rank, world_size
    if kind is DefaultSampler:
        # what DefaultSampler derives from the two when it is made
        base.num_samples = math.ceil(len(labels) / world_size)
        base.total_size = base.num_samples * world_size
    return GroupBatchSampler(
        base, group_size * groups, group_size=group_size, match=match)


@cases(25)
@given(label_lists, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3),
       st.sampled_from(['exact', 'any', 'none']), st.integers(0, 2**31 - 1),
       st.integers(0, 9))
def test_an_epoch(labels, world_size, group_size, groups, match, seed, epoch):
    """Every image is an anchor; groups do not depend on the processes."""

    def epoch_of(world_size):
        found = []
        for rank in range(world_size):
            sampler = sampler_of(labels, DefaultSampler, rank, world_size,
                                 group_size, groups, match, seed)
            sampler.sampler.set_epoch(epoch)
            batches = list(sampler)
            assert len(batches) == len(sampler)
            flat = [i for batch in batches for i in batch]
            found.append([
                tuple(flat[i:i + group_size])
                for i in range(0, len(flat), group_size)
            ])
        return found

    try:
        alone = epoch_of(1)[0]
    except InputError as error:
        assert 'larger than' in str(error)
        counts = np.bincount(sum(labels, []), minlength=1)
        largest = len(labels) if match == 'none' else counts.max()
        assert group_size > largest
        return
    anchors = [group[0] for group in alone]
    assert sorted(anchors) == list(range(len(labels)))
    for group in alone:
        own = set(labels[group[0]])
        for other in group[1:]:
            assert 0 <= other < len(labels)
            alike = [
                i for i, ids in enumerate(labels)
                if i != group[0] and set(ids) & own
            ]
            if match != 'none' and alike:
                assert set(labels[other]) & own
        # the label set, or every class, has as many images as the group
        pools = [set(ids) == own for ids in labels]
        if match == 'any':
            pools = [[c in ids for ids in labels] for c in own]
        sizes = np.atleast_2d(pools).sum(1)
        if match != 'none' and own and sizes.min() >= group_size:
            assert len(set(group)) == group_size
    parts = epoch_of(world_size)
    assert len({len(part) for part in parts}) == 1
    # the last ranks repeat images to be as many
    assert set(sum(parts, [])) == set(alone)
    again = epoch_of(world_size)
    assert again == parts


@pytest.mark.slow
@cases(15)
@given(label_lists, st.integers(1, 3), st.integers(1, 3), st.integers(0, 60),
       st.integers(0, 2**31 - 1))
def test_a_stream(labels, world_size, group_size, steps, seed):
    """To skip is to read and forget; ranks share one stream."""
    size = len(labels)
    try:
        streams = [[
            sampler_of(labels, InfiniteSampler, rank, world_size, group_size,
                       1, 'any', seed) for _ in range(2)
        ] for rank in range(world_size)]
    except InputError:
        return
    taken = []
    for first, second in streams:
        expected = list(islice(first, steps + 5))
        second.skip(steps)
        assert list(islice(second, 5)) == expected[steps:]
        taken.append(expected)
    together = [batch[0] for step in zip(*taken) for batch in step]
    for start in range(0, len(together) - size + 1, size):
        assert sorted(together[start:start + size]) == list(range(size))


@cases(25)
@given(label_lists, st.integers(1, 5), st.sampled_from(['exact', 'any']),
       st.integers(0, 2**31 - 1), st.integers(0, 5))
def test_partners(labels, size, match, seed, epoch):
    """A draw depends on the anchor alone, not on its company."""
    index = LabelIndex(labels, 6)
    anchors = np.arange(len(labels))
    if len(labels) == 1:
        with pytest.raises(InputError, match='at least 2 images'):
            index.partners(anchors, size, match, seed, epoch)
        return
    drawn = index.partners(anchors, size, match, seed, epoch)
    assert drawn.shape == (len(labels), size)
    assert ((drawn >= 0) & (drawn < len(labels))).all()
    order = np.random.default_rng(seed).permutation(len(labels))
    mixed = index.partners(order, size, match, seed, epoch)
    assert (mixed == drawn[order]).all()
    for anchor, partners in zip(anchors, drawn):
        same = [i for i in anchors if set(labels[i]) == set(labels[anchor])]
        # without a class all images will do
        if match == 'exact' and labels[anchor] and len(same) > size:
            assert set(partners.tolist()) <= set(same) - {anchor}


# ---- score maps -----------------------------------------------------------
@st.composite
def score_maps(draw, min_classes=0, side=7, img_id='a', ori_shape=None):
    """Maps with ties, zeros and ones, of any size."""
    ids = draw(
        st.lists(
            st.integers(0, 5), min_size=min_classes, max_size=3, unique=True))
    shape = [draw(st.integers(1, side)) for _ in range(2)]
    ori_shape = ori_shape or [draw(st.integers(1, 12)) for _ in range(2)]
    seed = draw(st.integers(0, 2**16))
    steps = draw(st.sampled_from([1, 2, 10, 1000]))
    maps = np.random.default_rng(seed).integers(0, steps + 1,
                                                (len(ids), *shape)) / steps
    return ScoreMap(img_id, ori_shape, ids, maps.astype(np.float16))


def same(one, other):
    return (one.img_id == other.img_id and one.ori_shape == other.ori_shape
            and one.class_ids.tolist() == other.class_ids.tolist()
            and np.array_equal(one.maps, other.maps))


same_photo = dict(ori_shape=[9, 8], min_classes=1)


@cases(40)
@given(
    score_maps(**same_photo), score_maps(**same_photo),
    score_maps(**same_photo))
def test_merging(one, two, three):
    """A maximum: any order, any number of times, files in between."""
    assert same(one.merge_max(two), two.merge_max(one))
    assert same(one.merge_max(one), one)
    merged = one.merge_max(two)
    assert set(merged.class_ids) == {*one.class_ids, *two.class_ids}
    for part in (one, two):
        rows = np.searchsorted(merged.class_ids, part.class_ids)
        resized = part.resize(merged.maps.shape[1:]).maps
        assert (merged.maps[rows] >= resized).all()
    # of one size, as those of one run are
    parts = [part.resize((5, 4)) for part in (one, two, three)]
    left = parts[0].merge_max(parts[1]).merge_max(parts[2])
    assert same(left, parts[0].merge_max(parts[1].merge_max(parts[2])))
    with tempfile.TemporaryDirectory() as folder:
        for number, order in enumerate(((0, 1, 2), (2, 1, 0))):
            maps = ScoreAccumulator(f'{folder}/{number}/rank0')
            for i in order:
                maps.merge(parts[i])
                if i == 1:
                    maps.flush()
            maps.flush()
        results = [
            next(merged_maps(f'{folder}/{number}', ['a'])) for number in (0, 1)
        ]
    assert same(*results)
    assert np.abs(results[0].maps - left.maps).max(initial=0) < 1e-3


@cases(40)
@given(score_maps(), st.integers(1, 20), st.integers(1, 20))
def test_maps(score_map, height, width):
    """Resizing stays in range and forgets nothing; files keep all."""
    resized = score_map.resize((height, width))
    assert resized.maps.shape[1:] == (height, width)
    if resized.maps.size:
        for new, old in zip(resized.maps, score_map.maps):
            assert old.min() - 1e-6 <= new.min()
            assert new.max() <= old.max() + 1e-6
    score, label = score_map.best()
    for y, x in np.ndindex(*score.shape):
        values = score_map.maps[:, y, x].tolist()
        assert score[y, x] == max(values, default=0)
        if values:
            first = values.index(max(values))
            assert label[y, x] == score_map.class_ids[first] + 1
    with tempfile.TemporaryDirectory() as folder:
        score_map.save(f'{folder}/a.npz')
        assert same(ScoreMap.load(f'{folder}/a.npz'), score_map)


@cases(40)
@given(score_maps(min_classes=1), st.floats(1e-30, 1e30))
def test_normalising(score_map, factor):
    """The maximum becomes 1, whatever the scale, and 0 stays 0."""
    raw = score_map.maps.astype(np.float32) * np.float32(factor)
    maps = ScoreMap.from_class_maps('a', (3, 3), score_map.class_ids, raw).maps
    for new, old in zip(maps, score_map.maps):
        assert new.max() == (1 if old.max() > 0 else 0)
        assert (new[old == 0] == 0).all()
        if old.max() > 0:
            np.testing.assert_allclose(
                new, old / old.max(), rtol=1e-5, atol=1e-6)


# ---- labelers, thresholds, refiners ---------------------------------------
@cases(60)
@given(score_maps(), st.floats(0, 1), st.floats(0, .3),
       st.one_of(st.none(), st.floats(0, 1)), st.floats(0, 1))
def test_labels(score_map, threshold, margin, conflict, foreground):
    """Against the rules, pixel by pixel."""
    labeler = ThresholdLabeler(
        threshold,
        margin=margin,
        conflict_threshold=conflict,
        min_foreground=foreground)
    label = labeler(score_map)
    maps = score_map.resize().maps
    assert label.shape == score_map.ori_shape and label.dtype == np.uint8
    low = np.float32(max(threshold - margin, 0))
    high = np.float32(threshold + margin)
    expected = np.zeros(label.shape, int)
    for y, x in np.ndindex(*label.shape):
        values = maps[:, y, x]
        best = values.max(initial=0)
        if best > high:
            expected[y, x] = score_map.class_ids[values.argmax()] + 1
        elif best > low:
            expected[y, x] = 255
        if conflict is not None and (values > np.float32(conflict)).sum() > 1:
            expected[y, x] = 255
    share = ((expected > 0) & (expected < 255)).mean()
    if share < foreground:
        expected[:] = 255
    assert (label == expected).all()


@cases(40)
@given(st.lists(score_maps(), max_size=4), st.randoms(use_true_random=False))
def test_histograms(maps, rng):
    """Every image weighs the same; the order does not matter."""
    total = sum((score_histogram(one) for one in maps), np.zeros(256, int))
    weighing = [one for one in maps if len(one.maps)]
    assert (len(weighing) * (IMAGE_WEIGHT - 256) <= total.sum() <=
            len(weighing) * IMAGE_WEIGHT)
    rng.shuffle(maps)
    again = sum((score_histogram(one) for one in maps), np.zeros(256, int))
    assert (again == total).all()
    assert 0 < otsu(total) < 1 and otsu(total) == otsu(total * 3)


@cases(40)
@given(score_maps(min_classes=1), st.floats(.01, .99))
def test_background(score_map, threshold):
    """There and back: 0.5 is where a class and background are equal."""
    probs = add_background(score_map.maps, threshold)
    np.testing.assert_allclose(probs.sum(0), 1, atol=1e-5)
    scores = remove_background(probs)
    best = score_map.maps.max(0)
    clear = np.abs(best - threshold) > 1e-3
    assert ((scores.max(0) > .5) == (best > threshold))[clear].all()
    assert (scores.argmax(0) == score_map.maps.argmax(0))[best > 0].all()


@pytest.mark.parametrize('step', [
    dict(type='group_wsss.DenseCRF', num_iters=1),
    dict(type='group_wsss.DenseCRF', num_iters=2, unary='label'),
    dict(type='group_wsss.PixelAdaptive', num_iters=1),
])
@cases(8)
@given(score_maps(), st.integers(0, 2**16), st.sampled_from([1, 2, 256]))
def test_refiners(step, score_map, seed, colours):
    """Finite, in range, of the same image, and the same twice."""
    image = np.random.default_rng(seed).integers(
        0, colours, (*score_map.ori_shape, 3)).astype(np.uint8)
    refiners = Refiners([dict(step)])
    before = score_map.maps.copy()
    refined = refiners(score_map, image)
    assert same(refined, refiners(score_map, image))
    assert refined.class_ids.tolist() == score_map.class_ids.tolist()
    assert refined.ori_shape == score_map.ori_shape
    assert np.array_equal(score_map.maps, before)


# ---- lists ----------------------------------------------------------------
names = st.text(min_size=1, max_size=8)


# as file systems and XML can have them
@pytest.mark.slow
@cases(60)
@given(st.text(max_size=12))
def test_names(name):
    """A name that is let through stays below its folder."""
    if why_unsafe(name) is None:
        path = os.path.normpath(os.path.join('/root/folder', name))
        assert path.startswith('/root/folder/')
        assert path == os.path.join('/root/folder', name)


@cases(60)
@given(
    st.dictionaries(
        names,
        st.tuples(st.lists(st.integers(0, 4)), st.one_of(st.none(), names)),
        min_size=1,
        max_size=4), st.booleans())
@pytest.mark.slow
def test_written_lists_can_be_read(entries, with_names):
    records = [
        ImageRecord(name, tuple(labels), path)
        for name, (labels, path) in entries.items()
    ]
    classes = list('abcde') if with_names else None
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/list.json'
        try:
            write_image_list(path, records, classes)
        except InputError as error:
            assert '\n' not in str(error)
            assert not os.listdir(folder)
            assert any(
                why_unsafe(name) for record in records
                for name in (record.img_id, record.path) if name is not None)
            return
        content = read_image_list(path)
    assert content.classes == (tuple(classes) if classes else None)
    assert [(r.img_id, r.labels, r.path) for r in content.records] == [
        (r.img_id, tuple(sorted(set(r.labels))), r.path) for r in records
    ]
