# Copyright (c) group_wsss contributors. All rights reserved.
import time
from pathlib import Path

import numpy as np
import pytest

from group_wsss.datasets import LabelIndex, read_image_list
from group_wsss.errors import InputError

VOC_LIST = (
    Path(__file__).parents[2] / '..' / 'shared/data/'
    'voc2012_train_aug_cls.txt')

#          0    1    2    3       4       5       6    7   8       9
LABELS = [[0], [0], [0], [0, 1], [0, 1], [1, 2], [3], [], [2, 1], [0]]


def share(a, b):
    return bool(set(LABELS[a]) & set(LABELS[b]))


def test_statistics():
    index = LabelIndex(LABELS, 5)
    assert index.class_counts.tolist() == [6, 4, 2, 1, 0]
    assert sorted(index.set_sizes.tolist()) == [1, 1, 2, 2, 4]
    assert index.max_group == 6


@pytest.mark.parametrize('match', ['exact', 'any', 'each', 'none'])
@pytest.mark.parametrize('size', [1, 3, 9, 14])
def test_no_self_pairs_and_distinct_while_possible(match, size):
    index = LabelIndex(LABELS, 5)
    everyone = np.arange(len(LABELS))
    for epoch in range(20):
        drawn = index.partners(everyone, size, match, 3, epoch)
        assert drawn.shape == (10, size) and drawn.dtype == np.int64
        assert drawn.min() >= 0 and drawn.max() < 10
        assert not (drawn == everyone[:, None]).any()
        if match == 'none':
            for row in drawn:
                assert len(set(row)) == min(size, 9)


def test_exact_pool_and_repeats():
    index = LabelIndex(LABELS, 5)
    drawn = index.partners([0, 3], 7, 'exact', 0)
    # {0, 1, 2, 9} share [0]: three others, then the same again
    assert sorted(drawn[0, :3]) == [1, 2, 9]
    assert drawn[0, 3:6].tolist() == drawn[0, :3].tolist()
    assert set(drawn[1]) == {4}


@pytest.mark.parametrize('epoch', range(8))
def test_fallbacks(epoch):
    labels = [[0, 1], [0], [1], [1], [2], []]
    index = LabelIndex(labels, 4)
    drawn = index.partners(np.arange(6), 2, 'exact', 1, epoch)
    # an unshared set: one class for the whole group, 0 or 1
    assert set(drawn[0]) in ({1}, {2, 3})
    # a class of its own, and no class: any other image
    for anchor in (4, 5):
        assert len({anchor, *drawn[anchor]}) == 3


def test_unshared_classes_are_never_chosen():
    # class 1 is image 0's alone, so class 0 must be drawn every time
    index = LabelIndex([[0, 1], [0], [2]], 3)
    for epoch in range(50):
        assert index.partners([0], 1, 'any', 0, epoch) == 1


def test_any_shares_a_class():
    index = LabelIndex(LABELS, 5)
    anchors = [i for i in range(10) if i not in (6, 7)]
    for epoch in range(20):
        for a, row in zip(anchors, index.partners(anchors, 3, 'any', 0,
                                                  epoch)):
            common = set(LABELS[a]).intersection(*(LABELS[b] for b in row))
            assert common, 'the whole group has a class in common'


def test_draw_depends_on_seed_epoch_and_anchor_alone():
    index = LabelIndex([[i % 3] for i in range(300)], 3)
    anchors = np.arange(300)
    whole = index.partners(anchors, 4, 'exact', 7, 2)
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(
        index.partners(order, 4, 'exact', 7, 2), whole[order])
    np.testing.assert_array_equal(
        index.partners([41], 4, 'exact', 7, 2), whole[41:42])
    # fewer slots are a prefix of more
    np.testing.assert_array_equal(
        index.partners(anchors, 2, 'exact', 7, 2), whole[:, :2])
    epochs = anchors % 5
    mixed = index.partners(anchors, 4, 'exact', 7, epochs)
    for epoch in range(5):
        np.testing.assert_array_equal(
            mixed[epochs == epoch],
            index.partners(anchors, 4, 'exact', 7, epoch)[epochs == epoch])
    for other in (index.partners(anchors, 4, 'exact', 8,
                                 2), index.partners(anchors, 4, 'exact', 7,
                                                    3)):
        assert (other == whole).mean() < 0.1


@pytest.mark.parametrize('slot', [0, 1, 2])
def test_draws_are_uniform(slot):
    index = LabelIndex([[0]] * 13 + [[1]] * 7, 2)
    counts = np.zeros(20)
    trials = 6000
    for epoch in range(0, trials, 1000):
        drawn = index.partners(
            np.full(1000, 5), 3, 'exact', 11, epoch + np.arange(1000))
        counts += np.bincount(drawn[:, slot], minlength=20)
    assert counts[5] == 0 and counts[13:].sum() == 0
    expected = trials / 12
    chi2 = ((np.delete(counts[:13], 5) - expected)**2 / expected).sum()
    assert chi2 < 31.3  # 11 degrees of freedom, p = 0.001


def test_class_choice_is_uniform():
    # class 0 has 50 images, class 1 two: both are chosen half the time
    labels = [[0, 1]] + [[0]] * 50 + [[1]]
    index = LabelIndex(labels, 2)
    drawn = index.partners(np.zeros(4000, int), 1, 'any', 0, np.arange(4000))
    assert abs((drawn == 51).mean() - 0.5) < 0.03


def test_query_equals_partners_and_takes_strangers():
    index = LabelIndex(LABELS, 5)
    for match in ('exact', 'any', 'each', 'none'):
        np.testing.assert_array_equal(
            index.query(LABELS, index.keys, np.arange(10), 3, match, seed=5),
            index.partners(np.arange(10), 3, match, 5))
    # not in the index: nobody is excluded, an unknown set falls back
    drawn = index.query([[0], [2, 3]],
                        np.array([99, 98], np.uint64), [-1, -1],
                        4,
                        match='exact')
    assert sorted(drawn[0]) == [0, 1, 2, 9]
    assert set(drawn[1]) in ({5, 8}, {6})


@pytest.mark.parametrize('labels', [[], [[5]], [[-1]]])
def test_bad_labels(labels):
    with pytest.raises(InputError):
        LabelIndex(labels, 5)


def test_single_image_and_bad_match():
    with pytest.raises(InputError, match='at least 2 images'):
        LabelIndex([[0]], 1).partners([0], 1)
    with pytest.raises(InputError, match='match='):
        LabelIndex(LABELS, 5).partners([0], 1, 'same')


@pytest.mark.skipif(not VOC_LIST.exists(), reason='no shared VOC list')
def test_real_list():
    labels = [record.labels for record in read_image_list(VOC_LIST).records]
    index = LabelIndex(labels, 20)
    sizes = index.set_sizes
    assert len(labels) == 10582
    assert len(sizes) == 341 and (sizes == 1).sum() == 144
    assert index.max_group == 3898 == index.class_counts[14]
    everyone = np.arange(len(labels))
    index.partners(everyone, 3)  # warm up
    start = time.perf_counter()
    drawn = index.partners(everyone, 3, 'exact', 0, 1)
    assert time.perf_counter() - start < 0.5  # a few ms when alone
    assert not (drawn == everyone[:, None]).any()
    sets = [frozenset(ids) for ids in labels]
    for a, row in enumerate(drawn):
        common = set(sets[a]).intersection(*(sets[b] for b in row))
        assert common
    same = np.mean([sets[a] == sets[row[0]] for a, row in enumerate(drawn)])
    assert same == pytest.approx(1 - 144 / 10582)


def test_each_gives_every_class_of_the_anchor_its_turn():
    rng = np.random.default_rng(3)
    labels = [
        np.flatnonzero(rng.random(6) < 0.35).tolist() for _ in range(200)
    ]
    index = LabelIndex(labels, 6)
    drawn = index.partners(np.arange(200), 6, 'each', seed=1)
    for anchor, row in enumerate(drawn.tolist()):
        assert anchor not in row
        assert len(set(row)) == 6  # the pools are large
        for image in row:
            if labels[anchor]:
                assert set(labels[image]) & set(labels[anchor])
        for class_id in labels[anchor]:
            assert any(class_id in labels[image] for image in row)


def test_each_repeats_a_small_pool_but_never_the_anchor():
    index = LabelIndex([[0], [0], [0, 1], [1], [], [2]], 3)
    drawn = index.partners(np.arange(6), 4, 'each')
    assert set(drawn[0]) == {1, 2} and set(drawn[3]) == {2}
    assert len(set(drawn[4])) == len(set(drawn[5])) == 4
