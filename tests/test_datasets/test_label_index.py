# Copyright (c) group_wsss contributors. All rights reserved.
import hashlib
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from group_wsss.datasets import LabelIndex
from group_wsss.structures import read_image_list
from group_wsss.utils.errors import InputError

VOC_LIST = (
    Path(__file__).parents[2] / '..' / 'shared/data/'
    'voc2012_train_aug_cls.txt')

#          0    1    2    3       4       5       6    7   8       9
LABELS = [[0], [0], [0], [0, 1], [0, 1], [1, 2], [3], [], [2, 1], [0]]


def test_statistics():
    index = LabelIndex([*LABELS[:-1], [0, 0]], 5)
    assert index.class_images.sizes.tolist() == [6, 4, 2, 1, 0]
    assert index.set_images.sizes.tolist() == [1, 4, 1, 2, 2]
    assert index.max_group == 6 and index.labels_of(8) == [1, 2]
    assert LabelIndex(LABELS).num_classes == 4
    assert LabelIndex([[], []]).max_group == 0


@pytest.mark.parametrize('labels, message',
                         [([], 'list is empty'),
                          ([[0], [2, 5]], 'image 1 has class id 5'),
                          ([[-1]], 'image 0 has class id -1, outside 0..4')])
def test_bad_labels(labels, message):
    with pytest.raises(InputError, match=message):
        LabelIndex(labels, 5)
    if labels:
        with pytest.raises(InputError, match=message):
            LabelIndex(LABELS, 5).query(labels, range(len(labels)),
                                        range(len(labels)), 2)


def test_single_image_and_bad_match():
    with pytest.raises(InputError, match='at least 2 images'):
        LabelIndex([[0]], 1).partners([0], 1)
    with pytest.raises(InputError, match='match='):
        LabelIndex(LABELS, 5).partners([0], 1, 'same')


@pytest.mark.skipif(not VOC_LIST.exists(), reason='no shared VOC list')
def test_real_list():
    labels = [record.labels for record in read_image_list(VOC_LIST).records]
    index = LabelIndex(labels, 20)
    sizes = index.set_images.sizes
    assert len(labels) == 10582
    assert len(sizes) == 341 and (sizes == 1).sum() == 144
    assert index.max_group == 3898
    everyone = np.arange(len(labels))
    start = time.process_time()
    drawn = index.partners(everyone, 3, 'exact', 0, 1)
    assert time.process_time() - start < 3  # 0.4 s when alone
    sets = [frozenset(ids) for ids in labels]
    same = np.mean([sets[a] == sets[row[0]] for a, row in enumerate(drawn)])
    assert same == pytest.approx(1 - 144 / 10582)


def mix(state):
    """SplitMix64 in Python's own integers."""
    mask = (1 << 64) - 1
    z = (state + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def plain_partners(labels, own, key, anchor, size, match, seed, epoch):
    """Partners of one image by lists, sets and loops."""
    base = mix(mix(mix(epoch) ^ mix(seed)) ^ mix(key))

    def below(slot, bound):
        return (mix(base ^ mix(slot)) >> 32) * bound >> 32

    everyone = range(len(labels))
    with_class = [[i for i in everyone if c in labels[i]] for c in range(9)]
    same = [i for i in everyone if own and labels[i] == own]
    inside = anchor >= 0
    usable = [c for c in sorted(own) if len(with_class[c]) > inside]
    turn = below(1 << 32, len(usable))
    out = []
    for slot in range(size):
        pool = list(everyone)
        if match == 'exact' and len(same) > inside:
            pool = same
        elif match == 'each' and usable:
            pool = with_class[usable[(turn + slot) % len(usable)]]
        elif match != 'none' and usable:
            pool = with_class[usable[turn]]
        left = [i for i in pool if i != anchor and i not in out]
        if left:
            out.append(left[below(slot, len(left))])
        elif match == 'each':  # another draw, never the anchor
            again = [i for i in pool if i != anchor]
            out.append(again[below(slot, len(again))])
        else:  # the same again, in the same order
            out.append(out[slot % len(set(out))])
    return out


@pytest.mark.parametrize('match', ['exact', 'any', 'each', 'none'])
def test_draws_equal_a_plain_reference(match):
    rng = np.random.default_rng(4)
    for trial in range(40):
        labels = [
            set(np.flatnonzero(rng.random(9) < rng.random() * .6).tolist())
            for _ in range(int(rng.integers(2, 25)))
        ]
        index = LabelIndex([sorted(ids) for ids in labels], 9)
        size, seed, epoch = (int(x) for x in rng.integers(1, 12, 3))
        order = rng.permutation(len(labels))  # no batch decides a draw
        drawn = index.partners(order, size, match, seed, epoch + order)
        for i, row in zip(order.tolist(), drawn.tolist()):
            assert row == plain_partners(labels, labels[i], i, i, size, match,
                                         seed, epoch + i)
        strangers = [set(ids) for ids in labels[::2]] + [{0, 8}, set(), {3}]
        keys = rng.integers(0, 1 << 63, len(strangers)).astype(np.uint64)
        drawn = index.query([sorted(ids) for ids in strangers], keys,
                            np.full(len(keys), -1), size, match, seed, epoch)
        for own, key, row in zip(strangers, keys.tolist(), drawn.tolist()):
            assert row == plain_partners(labels, own, key, -1, size, match,
                                         seed, epoch)


RECORDED = dict(
    exact='f0938b09c2912a0e',
    any='00b55ec1195f05f8',
    each='96921ecd3a71cb81',
    none='873ea4418da3c5a4')


@pytest.mark.parametrize('match, recorded', RECORDED.items())
def test_draws_of_earlier_versions_on_many_lists(match, recorded):
    """Lists with few and many tags, with and without partners."""
    rng = np.random.default_rng(17)
    digest = hashlib.blake2b(digest_size=8)
    for share in (.05, .2, .5):
        for number in (2, 9, 60, 400):
            has = rng.random((number, 12)) < share
            labels = [np.flatnonzero(row).tolist() for row in has]
            index = pickle.loads(pickle.dumps(LabelIndex(labels, 12)))
            where = np.arange(number)
            keys = where.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            exclude = np.where(where % 2, where, -1)
            for seed in (0, 7, 2**31 - 1):
                for size in (1, 3, 15):
                    digest.update(
                        index.partners(where, size, match, seed,
                                       where % 3 + seed % 5).tobytes())
                    digest.update(
                        index.query(labels, keys, exclude, size, match, seed,
                                    1).tobytes())
    assert digest.hexdigest() == recorded
