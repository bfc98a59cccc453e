# Copyright (c) group_wsss contributors. All rights reserved.
from itertools import islice

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import DataLoader, SequentialSampler

from group_wsss.datasets import GroupBatchSampler, LabelIndex
from group_wsss.utils.errors import InputError

LABELS = [[i % 3] if i % 4 else [i % 3, 3] for i in range(48)]


class Data:
    """The least that a dataset must be."""

    def __init__(self, labels=LABELS):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, idx):
        return idx

    def get_cat_ids(self, idx):
        return self.labels[idx]


def make(monkeypatch, kind, rank=0, world_size=1, batch_size=12, **kwargs):
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda:
                        (rank, world_size))
    base = kind(Data(), shuffle=True, seed=5)
    return GroupBatchSampler(base, batch_size, **kwargs)


def groups_of(batches, size):
    flat = [i for batch in batches for i in batch]
    return [tuple(flat[i:i + size]) for i in range(0, len(flat), size)]


@pytest.mark.parametrize('kind', [DefaultSampler, InfiniteSampler])
@pytest.mark.parametrize('size', [1, 2, 3, 4])
@pytest.mark.parametrize('match', ['exact', 'any', 'each', 'none'])
def test_anchors_and_partners(monkeypatch, kind, size, match):
    sampler = make(monkeypatch, kind, group_size=size, match=match)
    groups = groups_of(islice(sampler, len(sampler)), size)
    expected = list(islice(kind(Data(), shuffle=True, seed=5), 48))
    assert [g[0] for g in groups] == expected[:len(groups)]
    for group in groups:
        assert len(set(group)) == size
        anchor = set(LABELS[group[0]])
        if match != 'none':
            assert all(anchor & set(LABELS[i]) for i in group)
        if match in ('exact', 'any'):
            assert set.intersection(*(set(LABELS[i]) for i in group))


@pytest.mark.parametrize('world_size', [2, 4])
def test_ranks_together_make_the_same_groups(monkeypatch, world_size):

    def collect(world):
        found = []
        for rank in range(world):
            sampler = make(
                monkeypatch, DefaultSampler, rank, world, group_size=3)
            for epoch in range(3):
                sampler.sampler.set_epoch(epoch)
                found += groups_of(sampler, 3)
        return sorted(found)

    alone = collect(1)
    assert len(alone) == 3 * 48
    assert collect(world_size) == alone


def test_long_infinite_run(monkeypatch):
    # 47 images: the passes of 4 processes end at different positions, and
    # every process draws in several chunks
    labels, count = LABELS[:47], 4 * 300

    def collect(world):
        found = []
        for rank in range(world):
            monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info',
                                lambda: (rank, world))
            base = InfiniteSampler(Data(labels), shuffle=True, seed=5)
            batches = GroupBatchSampler(base, 12, group_size=3)
            found.append(groups_of(islice(batches, count // 4 // world), 3))
        return [group for row in zip(*found) for group in row]

    alone = collect(1)
    assert len(alone) == count
    index = LabelIndex(labels, 4)
    for i, group in enumerate(alone):
        drawn = index.partners([group[0]], 2, 'exact', 5, i // 47)
        assert tuple(drawn[0]) == group[1:]
    assert collect(2) == alone and collect(4) == alone


def test_epochs_differ_and_repeat(monkeypatch):
    sampler = make(monkeypatch, DefaultSampler, group_size=3)
    first = list(sampler)
    assert list(sampler) == first
    sampler.sampler.set_epoch(1)
    assert list(sampler) != first
    other = make(monkeypatch, DefaultSampler, group_size=3, seed=6)
    assert [b[0] for b in other] == [b[0] for b in first]  # same anchors
    assert list(other) != first
    assert make(monkeypatch, DefaultSampler, seed=0).seed == 0


def test_second_iterator_of_an_infinite_sampler_goes_on(monkeypatch):
    whole = list(islice(make(monkeypatch, InfiniteSampler, group_size=2), 8))
    sampler = make(monkeypatch, InfiniteSampler, group_size=2)
    parts = list(islice(sampler, 3)) + list(islice(sampler, 5))
    assert parts == whole


@pytest.mark.parametrize('drop_last', [False, True])
@pytest.mark.parametrize('batch_size', [4, 20])
def test_length_and_last_batch(monkeypatch, drop_last, batch_size):
    sampler = make(
        monkeypatch,
        DefaultSampler,
        batch_size=batch_size,
        group_size=4,
        drop_last=drop_last)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert all(len(b) % 4 == 0 for b in batches)
    assert {len(b) for b in batches[:-1]} <= {batch_size}
    rest = 192 % batch_size if drop_last else 0
    assert sum(map(len, batches)) == 192 - rest


def test_built_from_config_in_a_loader():
    base = DefaultSampler(Data(), shuffle=False, seed=0)
    sampler = DATA_SAMPLERS.build(
        dict(type='group_wsss.GroupBatchSampler', group_size=4),
        default_args=dict(sampler=base, batch_size=8))
    assert sampler.sampler is base  # DistSamplerSeedHook looks here
    loader = DataLoader(Data(), batch_sampler=sampler)
    batch = next(iter(loader))
    assert batch.shape == (8, ) and batch[0] == 0 and batch[4] == 1
    assert len(loader) == 24


def test_sampler_without_epoch():
    base = SequentialSampler(Data())
    base.dataset = base.data_source  # mmengine's samplers have it
    sampler = GroupBatchSampler(base, 4, group_size=2, seed=1)
    first, second = list(sampler), list(sampler)
    assert first != second
    assert [b[0] for b in first] == [b[0] for b in second]


class Bare(Data):
    """As mmseg's data sets: images, but no image-level labels."""

    def get_cat_ids(self, idx):
        raise NotImplementedError

    def get_data_info(self, idx):
        return dict(img_path=f'folder/img{idx}.jpg')


def test_labels_from_elsewhere(tmp_path):
    base = DefaultSampler(Bare(), shuffle=False, seed=0)
    with pytest.raises(InputError, match='batch_sampler.labels'):
        GroupBatchSampler(base, 4, group_size=2)
    given = GroupBatchSampler(base, 4, group_size=2, labels=LABELS)
    path = tmp_path / 'list.txt'
    path.write_text(''.join(f'img{i} {" ".join(map(str, ids))}\n'
                            for i, ids in reversed(list(enumerate(LABELS)))))
    read = GroupBatchSampler(base, 4, group_size=2, ann_file=str(path))
    known = GroupBatchSampler(
        DefaultSampler(Data(), shuffle=False, seed=0), 4, group_size=2)
    assert list(given) == list(read) == list(known)
    path.write_text('img0 1\n')
    with pytest.raises(InputError, match="no line for image 'img1'"):
        GroupBatchSampler(base, 4, group_size=2, ann_file=str(path))
    with pytest.raises(InputError, match='3 entries, the dataset 48'):
        GroupBatchSampler(base, 4, group_size=2, labels=[[0]] * 3)


@pytest.mark.parametrize('kwargs, message', [
    (dict(batch_size=10, group_size=4), 'batch_size=10.*group_size=4'),
    (dict(batch_size=4, group_size=0), 'group_size=0'),
    (dict(batch_size=17, group_size=17), r'largest class \(16 images\)'),
    (dict(batch_size=4, group_size=2, match='same'), "match='same'"),
    (dict(batch_size=4, group_size=2, labels=LABELS, ann_file='x'), 'both'),
])
def test_wrong_settings(kwargs, message):
    base = DefaultSampler(Data(), seed=0)
    with pytest.raises(InputError, match=message):
        GroupBatchSampler(base, **kwargs)


@pytest.mark.parametrize('world_size', [1, 2])
@pytest.mark.parametrize('steps', [0, 7, 130])
def test_skip_is_to_read_and_forget(monkeypatch, world_size, steps):
    for rank in range(world_size):

        def build():
            return make(
                monkeypatch, InfiniteSampler, rank, world_size, group_size=2)

        expected = list(islice(build(), steps + 25))[steps:]
        resumed = build()
        # a loader may have read ahead before the run knows where it is
        next(iter(resumed))
        resumed.skip(steps)
        assert list(islice(resumed, 25)) == expected
        assert list(islice(resumed, 1)) != expected[:1]
        resumed.skip(steps)  # counted from the start of the stream
        assert list(islice(resumed, 25)) == expected


def test_skip_draws_no_partners(monkeypatch):
    asked = []
    plain = LabelIndex.partners

    def partners(self, anchors, *args):
        asked.append(len(anchors))
        return plain(self, anchors, *args)

    monkeypatch.setattr(LabelIndex, 'partners', partners)
    sampler = make(monkeypatch, InfiniteSampler, group_size=2)
    sampler.skip(10_000)
    next(iter(sampler))
    assert asked == [258]  # 43 batches of 6 groups, the first chunk
    finite = make(monkeypatch, DefaultSampler, group_size=2)
    with pytest.raises(InputError, match='DefaultSampler cannot skip'):
        finite.skip(1)


def test_a_long_epoch_is_drawn_in_chunks(monkeypatch):
    labels = [[i % 5] for i in range(1000)]
    base = DefaultSampler(Data(labels), shuffle=True, seed=5)
    sampler = GroupBatchSampler(base, 14, group_size=2, drop_last=True)
    base.set_epoch(3)
    anchors = np.array(list(base))
    drawn = sampler.index.partners(anchors, 1, 'exact', 5, 3)
    expected = np.stack([anchors, drawn[:, 0]], 1)[:994].reshape(-1, 14)
    asked = []
    monkeypatch.setattr(
        LabelIndex, 'partners', lambda self, some, *args: asked.append(
            len(some)) or drawn[sum(asked[:-1]):][:len(some)])
    batches = iter(sampler)
    assert next(batches) == expected[0].tolist() and asked == [259]
    assert list(batches) == expected[1:].tolist()
    assert len(sampler) == len(expected) and asked == [259, 259, 259, 223]
