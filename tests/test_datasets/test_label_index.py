# Copyright (c) group_wsss contributors. All rights reserved.
import json
import pickle
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from group_wsss.datasets import LabelIndex, label_index_files
from group_wsss.structures import read_image_list
from group_wsss.utils import files
from group_wsss.utils.errors import InputError

VOC_LIST = (
    Path(__file__).parents[2] / '..' / 'shared/data/'
    'voc2012_train_aug_cls.txt')

#          0    1    2    3       4       5       6    7   8       9
LABELS = [[0], [0], [0], [0, 1], [0, 1], [1, 2], [3], [], [2, 1], [0]]

GOLDEN = {
    'exact': [[28, 14, 28, 14, 28], [0, 14, 28, 35, 21], [14, 28, 35, 7, 0],
              [24, 18, 4, 10, 32]],
    'any': [[28, 7, 14, 35, 21], [0, 14, 28, 35, 21], [14, 28, 35, 7, 0],
            [31, 24, 3, 17, 25]],
    'each': [[28, 7, 14, 35, 21], [0, 13, 28, 37, 35], [14, 33, 35, 39, 0],
             [31, 24, 3, 17, 25]],
    'none': [[24, 3, 1, 31, 10], [8, 6, 23, 35, 37], [23, 27, 36, 38, 8],
             [28, 23, 2, 18, 25]]
}


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
        drawn = index.partners(
            np.arange(len(labels)), size, match, seed, epoch)
        for i, row in enumerate(drawn.tolist()):
            assert row == plain_partners(labels, labels[i], i, i, size, match,
                                         seed, epoch)
        strangers = [set(ids) for ids in labels[::2]] + [{0, 8}, set(), {3}]
        keys = rng.integers(0, 1 << 63, len(strangers)).astype(np.uint64)
        drawn = index.query([sorted(ids) for ids in strangers], keys,
                            np.full(len(keys), -1), size, match, seed, epoch)
        for own, key, row in zip(strangers, keys.tolist(), drawn.tolist()):
            assert row == plain_partners(labels, own, key, -1, size, match,
                                         seed, epoch)


def test_draws_of_earlier_versions():
    # drawn before the index was made small: dumps must stay the same
    labels = [[i * i % 7, 7 + i % 3][:1 + i % 2] for i in range(40)]
    index = LabelIndex(labels, 10)
    drawn = {
        match: index.partners([0, 7, 21, 38], 5, match, 3, 2).tolist()
        for match in ('exact', 'any', 'each', 'none')
    }
    assert drawn == GOLDEN


@pytest.mark.parametrize('count', [1, 2, 5])
def test_big_list_is_small_and_quick(count):
    rng = np.random.default_rng(0)
    images = 200_000 // count
    classes = rng.integers(0, 300, 200_000) * rng.integers(0, 2, 200_000)
    start = time.perf_counter()
    index = LabelIndex.from_arrays(
        np.full(images, count), classes, num_classes=300)
    assert time.perf_counter() - start < 3  # a tenth when alone
    assert index.nbytes <= 16 * index.num_pairs
    tracemalloc.start()
    index.partners([5], 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000, 'a draw must not touch the whole list'


@pytest.mark.parametrize('match', ['exact', 'any', 'each', 'none'])
def test_a_draw_costs_the_same_in_any_list(match, monkeypatch):
    rng = np.random.default_rng(1)
    looked = []
    plain = LabelIndex._at

    def count(self, start, where):
        looked.append(len(where))
        return plain(self, start, where)

    monkeypatch.setattr(LabelIndex, '_at', count)
    costs = []
    for images in (100, 3_000, 50_000):
        index = LabelIndex.from_arrays(
            np.full(images, 2), rng.integers(0, 8, 2 * images), 8)
        looked.clear()
        index.partners(np.arange(50), 3, match)
        costs.append(sum(looked) / 50)
    # slots 0, 1, 2 step over 1, 2, 3 images and look up one each
    assert costs == [9, 9, 9]


def test_flat_arrays_are_the_lists():
    labels = [[2, 0, 2], [], [1], [0, 2], [2, 1, 0]]
    flat = LabelIndex.from_arrays(
        np.array([3, 0, 1, 2, 3]), [2, 0, 2, 1, 0, 2, 2, 1, 0], 3)
    index = LabelIndex(labels, 3)
    assert flat.fingerprint == index.fingerprint
    assert [flat.labels_of(i).tolist() for i in range(5)] == [[0, 2], [], [1],
                                                              [0, 2],
                                                              [0, 1, 2]]
    assert flat.num_pairs == 8 and flat.class_counts.tolist() == [3, 2, 3]
    lengths, classes = flat.set_table
    sets = [ids.tolist() for ids in np.split(classes, np.cumsum(lengths)[:-1])]
    assert dict(zip(map(tuple, sets), flat.set_sizes.tolist())) == {
        (): 1,
        (0, 1, 2): 1,
        (0, 2): 2,
        (1, ): 1
    }
    for other in (LabelIndex(labels, 4), LabelIndex(labels[::-1], 3),
                  LabelIndex(labels, 3, np.arange(5))):
        assert other.fingerprint != index.fingerprint
    for lengths in ([3, 6, -1, 1, 0], [9], [[9]]):
        if lengths != [9]:
            with pytest.raises(InputError, match='add up to 9'):
                LabelIndex.from_arrays(lengths, np.zeros(9), 3)
    with pytest.raises(InputError, match='image 2 has class id 7'):
        LabelIndex.from_arrays([1, 0, 2], [0, 1, 7], 3)


@pytest.mark.parametrize('keys', [None, np.arange(10, 20, dtype=np.uint64)])
@pytest.mark.parametrize('mmap', [True, False])
def test_saved_and_loaded(tmp_path, keys, mmap):
    folder = str(tmp_path / 'new' / 'index')
    index = LabelIndex(LABELS, 5, keys)
    fingerprint = index.save(folder)
    again = LabelIndex.load(folder, mmap, fingerprint)
    assert again.fingerprint == fingerprint == index.fingerprint
    copies = [again, pickle.loads(pickle.dumps(again))]
    for copy in copies:
        assert isinstance(copy._pool.base, np.memmap) == mmap
        assert not copy._pool.flags.writeable or not mmap
        for match in ('exact', 'any', 'each', 'none'):
            everyone = np.arange(10)
            np.testing.assert_array_equal(
                copy.partners(everyone, 4, match, 2, 1),
                index.partners(everyone, 4, match, 2, 1))
        np.testing.assert_array_equal(copy.keys, index.keys)
    if mmap:  # a worker gets a name, not the arrays
        assert len(pickle.dumps(again)) < 300 + len(folder)
    empty = LabelIndex([[], []], 0)
    empty.save(folder)
    assert LabelIndex.load(folder, mmap).partners([0], 1).tolist() == [[1]]


def test_replaced_while_it_is_open(tmp_path, monkeypatch):
    folder = str(tmp_path)
    LabelIndex(LABELS, 5).save(folder)
    before = LabelIndex.load(folder)
    expected = before.partners(np.arange(10), 3).tolist()
    names = {path.name for path in tmp_path.iterdir()}

    def stop(path, data):
        if path.endswith('.json'):
            raise KeyboardInterrupt
        files.atomic_write(path, data)

    other = LabelIndex(LABELS[::-1], 5)
    monkeypatch.setattr(label_index_files, 'atomic_write', stop)
    with pytest.raises(KeyboardInterrupt):
        other.save(folder)
    # the header of the old one is still there, and so are its arrays
    assert LabelIndex.load(folder).fingerprint == before.fingerprint
    monkeypatch.undo()
    other.save(folder)
    assert LabelIndex.load(folder).fingerprint == other.fingerprint
    assert len(names) == len(list(tmp_path.iterdir()))
    assert before.partners(np.arange(10), 3).tolist() == expected


def spoil_header(**changes):

    def spoil(folder):
        path = folder / 'label_index.json'
        header = json.loads(path.read_text())
        header.update(changes)
        path.write_text(json.dumps(header))

    return spoil


def spoil_pool(change):

    def spoil(folder):
        path = next(folder.glob('pool-*.npy'))
        change(path)

    return spoil


def flip(path):
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)


def save_objects(path):
    np.save(path, np.array([{}] * 23, dtype=object), allow_pickle=True)


@pytest.mark.parametrize('spoil, message', [
    (lambda folder: (folder / 'label_index.json').unlink(), 'no label index'),
    (lambda folder: (folder / 'label_index.json').write_text('{'), 'not JSON'),
    (lambda folder:
     (folder / 'label_index.json').write_text('[]'), 'not the header'),
    (spoil_header(format='another'), 'not the header'),
    (spoil_header(version=2), 'version 2 .* reads 1'),
    (spoil_header(num_images=-1), 'damaged header'),
    (spoil_header(num_images=True), 'damaged header'),
    (spoil_header(arrays={}), 'damaged header'),
    (spoil_header(fingerprint='../../' + 26 * '0'), 'damaged header'),
    (spoil_header(num_images=9), 'do not fit'),
    (spoil_header(num_classes=6), 'do not fit'),
    (spoil_pool(lambda path: path.unlink()), 'pool-.*no such file'),
    (spoil_pool(lambda path: path.write_bytes(b'')), 'pool-.*cannot be read'),
    (spoil_pool(lambda path: path.write_bytes(path.read_bytes()[:-1])),
     'pool-.*cannot be read'),
    (spoil_pool(save_objects), 'pool-.*cannot be read'),
    (spoil_pool(lambda path: np.save(path, np.zeros(22, np.int32))),
     'pool-.*not the array'),
    (spoil_pool(lambda path: np.save(path, np.zeros(23, np.int64))),
     'pool-.*not the array'),
    (spoil_pool(flip), 'damaged: its content'),
])
@pytest.mark.parametrize('mmap', [True, False])
def test_damaged_files(tmp_path, spoil, message, mmap):
    LabelIndex(LABELS, 5).save(str(tmp_path))
    spoil(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        LabelIndex.load(str(tmp_path), mmap)
    assert '\n' not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_other_labels_than_expected(tmp_path):
    LabelIndex(LABELS, 5).save(str(tmp_path))
    with pytest.raises(InputError, match='of other labels'):
        LabelIndex.load(str(tmp_path), fingerprint='0' * 32)
