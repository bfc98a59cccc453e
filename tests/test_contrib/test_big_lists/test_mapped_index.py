# Copyright (c) group_wsss contributors. All rights reserved.
import io
import json
import pickle
import time

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler

from group_wsss.contrib.big_lists import MappedLabelIndex, index_files
from group_wsss.datasets import GroupBatchSampler, LabelIndex
from group_wsss.utils import files
from group_wsss.utils.errors import InputError

LABELS = [[0], [0], [0], [0, 1], [0, 1], [1, 2], [3], [], [2, 1], [0]]
MATCHES = ['exact', 'any', 'each', 'none']


def mapped(labels, num_classes=5):
    return MappedLabelIndex.from_arrays([len(ids) for ids in labels],
                                        [c for ids in labels for c in ids],
                                        num_classes)


def assert_same(index, other, size=4):
    for match in MATCHES:
        everyone = np.arange(other.num_images)
        np.testing.assert_array_equal(
            index.partners(everyone, size, match, 2, 1),
            other.partners(everyone, size, match, 2, 1))


def test_flat_arrays_are_the_lists():
    rng = np.random.default_rng(4)
    lists = [[[2, 0, 2], [], [1], [0, 2], [2, 1, 0]], [[], []]]
    for share in (.05, .3, .7):
        has = rng.random((60, 40)) < share
        lists.append([np.flatnonzero(row)[::-1].tolist() for row in has])
    for labels in lists:
        index, plain = mapped(labels, 40), LabelIndex(labels, 40)
        for name in ('set_of', 'set_classes', 'set_images', 'class_images'):
            for one, two in zip(getattr(index, name), getattr(plain, name)):
                np.testing.assert_array_equal(one, two)
        assert_same(index, plain)
        assert_same(pickle.loads(pickle.dumps(index)), plain)
        query = (labels[::-1], np.arange(len(labels)), [-1] * len(labels), 3)
        np.testing.assert_array_equal(
            index.query(*query, 'exact'), plain.query(*query, 'exact'))


def test_wrong_arrays():
    for lengths in ([3, 6, -1, 1, 0], [[9]]):
        with pytest.raises(InputError, match='add up to 9'):
            MappedLabelIndex.from_arrays(lengths, np.zeros(9), 3)
    with pytest.raises(InputError, match='image 2 has class id 7'):
        mapped([[0], [], [1, 7]], 3)
    with pytest.raises(InputError, match='list is empty'):
        mapped([])


@pytest.mark.parametrize('count', [1, 5])
def test_big_list_is_small_and_quick(count):
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 300, 200_000) * rng.integers(0, 2, 200_000)
    start = time.process_time()
    index = MappedLabelIndex.from_arrays(
        np.full(len(classes) // count, count), classes, 300)
    assert time.process_time() - start < 3  # a tenth when alone
    assert index.nbytes <= 18 * len(index.class_images.values)
    start = time.process_time()
    index.partners(np.arange(100), 3)
    assert time.process_time() - start < 1, 'must not read the whole list'


def test_saved_and_loaded(tmp_path):
    folder = str(tmp_path / 'new' / 'index')
    index = mapped(LABELS)
    fingerprint = index.save(folder)
    again = MappedLabelIndex.load(folder, fingerprint)
    assert again.fingerprint == fingerprint == index.fingerprint
    assert fingerprint != mapped(LABELS, 4).fingerprint
    assert fingerprint != mapped(LABELS[::-1]).fingerprint
    for copy in (again, pickle.loads(pickle.dumps(again))):
        images = copy.set_images.values
        assert isinstance(images.base, np.memmap)
        assert not images.flags.writeable
        assert_same(copy, index)
    # a worker gets a name, not the arrays
    assert len(pickle.dumps(again)) < 300 + len(folder)
    mapped([[], []], 0).save(folder)
    empty = MappedLabelIndex.load(folder)
    assert empty.partners([0], 1).tolist() == [[1]]
    with pytest.raises(InputError, match='of other labels'):
        MappedLabelIndex.load(folder, fingerprint='0' * 32)


def test_replaced_while_it_is_open(tmp_path, monkeypatch):
    folder = str(tmp_path)
    mapped(LABELS).save(folder)
    before = MappedLabelIndex.load(folder)
    expected = before.partners(np.arange(10), 3).tolist()
    names = {path.name for path in tmp_path.iterdir()}

    def stop(path, data):
        if path.endswith('.json'):
            raise KeyboardInterrupt
        files.atomic_write(path, data)

    other = mapped(LABELS[::-1])
    monkeypatch.setattr(index_files, 'atomic_write', stop)
    with pytest.raises(KeyboardInterrupt):
        other.save(folder)
    # the header of the old one is still there, and so are its arrays
    assert MappedLabelIndex.load(folder).fingerprint == before.fingerprint
    monkeypatch.undo()
    other.save(folder)
    assert MappedLabelIndex.load(folder).fingerprint == other.fingerprint
    assert len(names) == len(list(tmp_path.iterdir()))
    assert before.partners(np.arange(10), 3).tolist() == expected


def spoil_header(**changes):

    def spoil(folder):
        path = folder / 'label_index.json'
        path.write_text(
            json.dumps(dict(json.loads(path.read_text()), **changes)))

    return spoil


def spoil_array(change):
    """Change one of the arrays, given its bytes."""

    def spoil(folder):
        path = next(folder.glob('set_images-*.npy'))
        path.write_bytes(change(path.read_bytes()))

    return spoil


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize('spoil, message', [
    (lambda folder: (folder / 'label_index.json').unlink(), 'no such label i'),
    (lambda folder: (folder / 'label_index.json').write_text('{'), 'not JSON'),
    (lambda folder:
     (folder / 'label_index.json').write_text('[]'), 'not the header'),
    (spoil_header(format='another'), 'not the header'),
    (spoil_header(version=2), 'version 2 .* reads 1'),
    (spoil_header(num_classes=-1), 'damaged header'),
    (spoil_header(num_classes=True), 'damaged header'),
    (spoil_header(arrays={}), 'damaged header'),
    (spoil_header(fingerprint='../../' + 26 * '0'), 'damaged header'),
    (spoil_header(num_classes=6), 'do not fit'),
    (lambda folder: next(folder.glob('set_images-*.npy')).unlink(),
     'set_images-.*no such file'),
    (spoil_array(lambda data: b''), 'set_images-.*cannot be read'),
    (spoil_array(lambda data: data[:-1]), 'set_images-.*cannot be read'),
    (spoil_array(lambda data: saved(np.array([{}] * 10, object))),
     'set_images-.*cannot be read'),
    (spoil_array(lambda data: saved(np.zeros(9, np.int32))),
     'set_images-.*not the array'),
    (spoil_array(lambda data: saved(np.zeros(10, np.int64))),
     'set_images-.*not the array'),
    (spoil_array(lambda data: data[:-4] + b'\7' + data[-3:]),
     'damaged: its content'),
])
def test_damaged_files(tmp_path, spoil, message):
    mapped(LABELS).save(str(tmp_path))
    spoil(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        MappedLabelIndex.load(str(tmp_path))
    assert '\n' not in str(caught.value) and str(tmp_path) in str(caught.value)


class Data:
    """The least that a dataset must be; mmseg's know no tags."""

    def __init__(self, labels, bare=False):
        self.labels, self.bare = labels, bare

    def __len__(self):
        return len(self.labels)

    def get_cat_ids(self, idx):
        if self.bare:
            raise NotImplementedError
        return self.labels[idx]


def test_sampler(tmp_path):
    labels = [[i % 3] if i % 4 else [i % 3, 3] for i in range(48)]
    config = dict(
        type='group_wsss.contrib.big_lists.mapped_index',
        folder=str(tmp_path / 'index'))

    def build(dataset, index=config, size=3, **kwargs):
        base = DefaultSampler(dataset, shuffle=True, seed=5)
        return GroupBatchSampler(
            base, 4 * size, group_size=size, index=index, **kwargs)

    plain = list(build(Data(labels), None))
    # built, mapped, and mapped without asking for labels again
    for dataset in (Data(labels), Data(labels), Data(labels, bare=True)):
        sampler = build(dataset)
        assert list(sampler) == plain
        assert isinstance(sampler.index.set_of.base, np.memmap)
    for wrong, message in ((labels[:-1], '48 images, the dataset has 47'),
                           (labels[:-1] + [[0]], 'image 47 has other')):
        with pytest.raises(InputError, match=message):
            build(Data(wrong))
    with pytest.raises(InputError, match='image 0 has other labels'):
        build(Data(labels, bare=True), labels=[[1]] * 48)
    with pytest.raises(InputError, match='largest class'):
        build(Data(labels), size=17)
