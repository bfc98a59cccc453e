# Copyright (c) group_wsss contributors. All rights reserved.
import random

import pytest
import torch
from mmengine.structures import BaseDataElement
from PIL import Image
from torch.utils.data import DataLoader

from group_wsss.datasets import (GroupedDataset, ImageLevelDataset,
                                 group_collate)
from group_wsss.datasets.grouped import id_key
from group_wsss.registry import FUNCTIONS, TRANSFORMS
from group_wsss.utils.errors import InputError

PIPELINE = [
    dict(type='group_wsss.LoadImage'),
    dict(type='mmpretrain.PackInputs', meta_keys=('img_id', 'img_path'))
]
IDS = [f'n{i:02d}' for i in range(20)]
LABELS = {name: [i % 3] for i, name in enumerate(IDS)}
LABELS['n07'] = []


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('grouped')
    (folder / 'JPEGImages').mkdir()
    for i, name in enumerate(IDS):
        Image.new('RGB', (8 + i % 3, 6),
                  (i, 0, 0)).save(folder / f'JPEGImages/{name}.jpg')
    return folder


def plain(root, names):
    path = root / f'list{len(list(root.glob("*.txt")))}.txt'
    path.write_text(''.join(f'{n} {" ".join(map(str, LABELS[n]))}\n'
                            for n in names))
    return ImageLevelDataset(
        str(path),
        data_root=str(root),
        classes=['a', 'b', 'c'],
        test_mode=True,
        pipeline=PIPELINE)


def table(data):
    """Anchor id -> ids of its partners."""
    rows = {}
    for i in range(len(data)):
        ids = [item['data_samples'].img_id for item in data[i]]
        rows[ids[0]] = ids[1:]
    return rows


def test_groups(root):
    data = GroupedDataset(plain(root, IDS), group_size=4)
    assert len(data) == 20 and data.metainfo['classes'] == ('a', 'b', 'c')
    assert data.get_cat_ids(4) == [1]
    assert data.get_data_info(4)['img_id'] == 'n04'
    for name, partners in table(data).items():
        assert len({name, *partners}) == 4
        for partner in partners if LABELS[name] else []:
            assert LABELS[partner] == LABELS[name]
    slots = [item['data_samples'].group_slot for item in data[3]]
    assert slots == [0, 1, 2, 3]


def test_order_of_the_list_changes_nothing(root):
    expected = table(GroupedDataset(plain(root, IDS), group_size=3, seed=4))
    mixed = IDS[:]
    random.Random(1).shuffle(mixed)
    assert table(GroupedDataset(plain(root, mixed), 3, seed=4)) == expected
    assert table(GroupedDataset(plain(root, IDS), 3, seed=5)) != expected


@pytest.mark.parametrize('match', ['exact', 'each'])
def test_subset_of_anchors_with_a_fixed_reference(root, match):
    reference = plain(root, IDS)
    args = dict(group_size=4, match=match, reference=reference)
    whole = table(GroupedDataset(plain(root, IDS), **args))
    some = IDS[13:2:-3]
    part = table(GroupedDataset(plain(root, some), **args))
    assert part == {name: whole[name] for name in some}
    # the reference being the data set itself is no special case
    own = GroupedDataset(plain(root, IDS), group_size=4, match=match)
    assert table(own) == whole


def test_anchor_outside_the_reference(root):
    data = GroupedDataset(
        plain(root, ['n00']), 3, reference=plain(root, ['n03', 'n06', 'n01']))
    assert sorted(table(data)['n00']) == ['n03', 'n06']


def test_keys_do_not_change():
    # a dump made today must be made again tomorrow
    assert id_key('2007_000032') == 10485736023121862437


@pytest.mark.parametrize('size, batch_size', [(1, 3), (4, 1), (2, 3)])
def test_collate(root, size, batch_size):
    data = GroupedDataset(plain(root, IDS), group_size=size)
    loader = DataLoader(
        data,
        batch_size=batch_size,
        collate_fn=FUNCTIONS.get('group_wsss.group_collate'))
    batch = next(iter(loader))
    assert len(batch['inputs']) == size * batch_size
    assert all(isinstance(x, torch.Tensor) for x in batch['inputs'])
    slots = [s.group_slot for s in batch['data_samples']]
    assert slots == list(range(size)) * batch_size
    anchors = [s.img_id for s in batch['data_samples']][::size]
    assert anchors == IDS[:batch_size]


def test_collate_items_of_a_sampler():
    batch = [dict(data_samples=BaseDataElement()) for _ in range(6)]
    flat = group_collate(batch, 3, inner=list)
    assert flat == batch
    assert [x['data_samples'].group_slot for x in flat] == [0, 1, 2, 0, 1, 2]
    with pytest.raises(InputError, match='a batch of 6 images is no whole'):
        group_collate(batch, 4)


def test_errors(root):
    with pytest.raises(InputError, match='at least 2 images'):
        GroupedDataset(plain(root, IDS[:1]), group_size=2)
    assert len(GroupedDataset(plain(root, IDS[:1]), group_size=1)[0]) == 1
    with pytest.raises(InputError, match='group_size'):
        GroupedDataset(plain(root, IDS), group_size=0)
    with pytest.raises(InputError, match='match='):
        GroupedDataset(plain(root, IDS), match='all')
    twice = plain(root, IDS[:3])
    twice.get_data_info = lambda i: dict(img_id='x')
    with pytest.raises(InputError, match="duplicate image id 'x' in ImageL"):
        GroupedDataset(twice, group_size=2)
    unpacked = plain(root, IDS)
    unpacked.pipeline.transforms.pop()
    with pytest.raises(InputError, match='PackInputs'):
        GroupedDataset(unpacked)[0]


def augmented(root, names, sizes):
    """Two or more sizes of each image."""
    data = plain(root, names)
    data.pipeline.transforms[1:] = [
        TRANSFORMS.build(
            dict(
                type='TestTimeAug',
                transforms=[[
                    dict(type='Resize', scale=size) for size in sizes
                ], [dict(PIPELINE[1])]]))
    ]
    return data


@pytest.mark.parametrize('size, batch_size', [(1, 2), (3, 2)])
def test_test_time_augmentation(root, size, batch_size):
    data = GroupedDataset(
        augmented(root, IDS, [(4, 4), (6, 8)]), group_size=size)
    groups = table(GroupedDataset(plain(root, IDS), group_size=size))
    batch = next(
        iter(
            DataLoader(data, batch_size=batch_size, collate_fn=group_collate)))
    wanted = [x for name in IDS[:batch_size] for x in [name, *groups[name]]]
    # augmentation first, then the flat batch
    for views, shape in zip(batch['inputs'], [(3, 4, 4), (3, 8, 6)]):
        assert [tuple(x.shape) for x in views] == [shape] * len(wanted)
    for views in batch['data_samples']:
        assert [s.img_id for s in views] == wanted
        assert [s.group_slot for s in views] == (
            list(range(size)) * batch_size)
    assert len(batch['inputs']) == len(batch['data_samples']) == 2


@pytest.mark.parametrize('sizes', [None, [(4, 4)], [(4, 4)] * 3])
def test_partners_augmented_otherwise(root, sizes):
    other = augmented(root, IDS, sizes) if sizes else plain(root, IDS)
    data = GroupedDataset(
        augmented(root, IDS, [(4, 4)] * 2), 2, reference=other)
    with pytest.raises(InputError, match='same test-time augmentations'):
        data[0]
