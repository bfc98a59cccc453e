# Copyright (c) group_wsss contributors. All rights reserved.
import pickle

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from group_wsss.datasets import GroupedDataset, ImageLevelDataset
from group_wsss.datasets.stand_ins import id_key, stand_ins
from group_wsss.utils.errors import CorruptImageError, InputError, one_line

PIPELINE = [
    dict(type='group_wsss.LoadImage'),
    dict(type='mmpretrain.PackInputs', meta_keys=('img_id', 'img_path'))
]
# classes of the first three are: alone, of two others, none like it
LABELS = dict(
    cut=[0],
    empty=[1, 2],
    text=[0, 2],
    a=[0],
    b=[0],
    c=[0, 1],
    d=[1, 2],
    e=[0, 1, 2],
    f=[2],
    g=[])
REASONS = dict(cut='truncated', empty='is empty', text='not an image')


def write(root, broken=True):
    (root / 'JPEGImages').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in LABELS:
        image = rng.integers(0, 256, (30, 40, 3)).astype(np.uint8)
        Image.fromarray(image).save(root / f'JPEGImages/{name}.jpg')
    if broken:
        path = root / 'JPEGImages/cut.jpg'
        path.write_bytes(path.read_bytes()[:-700])
        (root / 'JPEGImages/empty.jpg').write_bytes(b'')
        (root / 'JPEGImages/text.jpg').write_text('<html>404</html>')
    (root / 'list.txt').write_text(''.join(' '.join([name, *map(str, ids)]) +
                                           '\n'
                                           for name, ids in LABELS.items()))
    return root


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp('corrupt') / 'data')


def build(root, on_corrupt='skip', test_mode=False, **kwargs):
    return ImageLevelDataset(
        'list.txt',
        data_root=str(root),
        classes=['x', 'y', 'z'],
        test_mode=test_mode,
        on_corrupt=on_corrupt,
        unlabeled='keep',
        pipeline=PIPELINE,
        **kwargs)


def place(name):
    return list(LABELS).index(name)


def id_of(item):
    return item['data_samples'].img_id


@pytest.mark.parametrize('name', REASONS)
def test_error_names_the_file_in_one_line(root, name):
    with pytest.raises(CorruptImageError) as caught:
        build(root, 'error')[place(name)]
    text = str(caught.value)
    assert '\n' not in text and REASONS[name] in text
    assert text.startswith(f'{root}/JPEGImages/{name}.jpg: ')


def test_error_of_a_worker(root):
    order = [place('cut')]
    batches = iter(
        DataLoader(
            build(root, 'error'),
            sampler=order,
            num_workers=1,
            collate_fn=list))
    with pytest.raises(CorruptImageError) as caught:
        next(batches)
    batches._shutdown_workers()  # not when garbage is collected
    text = one_line(caught.value)
    assert text.startswith(f'{root}/JPEGImages/cut.jpg: ')


def test_what_is_not_corrupt_is_an_error_always(tmp_path):
    root = write(tmp_path / 'data', broken=False)
    data = build(root)
    (root / 'JPEGImages/a.jpg').unlink()
    with pytest.raises(InputError, match='no such image') as caught:
        data[place('a')]
    assert not isinstance(caught.value, CorruptImageError)
    with pytest.raises(InputError, match='a.jpg: no such image'):
        build(root, check_files=False).corrupt_images()
    label = Image.new('P', (9, 9))
    label.save(root / 'JPEGImages/b.jpg', 'PNG')
    with pytest.raises(InputError, match='looks like a label') as caught:
        data[place('b')]
    assert not isinstance(caught.value, CorruptImageError)
    with pytest.raises(InputError, match="on_corrupt='maybe'"):
        build(root, 'maybe')
    data.pipeline.transforms = data.pipeline.transforms[1:]
    with pytest.raises(InputError, match='needs a pipeline with'):
        data.corrupt_images()


def test_order_of_stand_ins(root, monkeypatch):
    data = build(root)
    for own, wanted in LABELS.items():
        idx = place(own)
        rows = [(-len(set(wanted) & set(ids)), len(set(ids) - set(wanted)),
                 id_key(f'{own}\n{name}'), i)
                for i, (name, ids) in enumerate(LABELS.items())
                if name != own and (set(wanted) & set(ids) or not wanted)]
        expected = [row[3] for row in sorted(rows)]
        assert data.stand_ins(idx) == expected
    # the list is looked through once, not once for each of them
    monkeypatch.setattr('group_wsss.datasets.stand_ins.MOST', 1)
    asked, get = [], data.get_data_info
    monkeypatch.setattr(data, 'get_data_info', lambda i:
                        (asked.append(i), get(i))[1])
    idx = place('a')
    best, = stand_ins(data, idx)
    assert best == data.stand_ins(idx)[0]
    same = [i for i, ids in enumerate(LABELS.values()) if ids == LABELS['a']]
    assert sorted(asked) == same


@pytest.mark.parametrize('workers', [0, 2])
def test_training_takes_another_one_of_the_class(root, workers):
    data = build(root)
    loader = DataLoader(data, 2, num_workers=workers, collate_fn=list)
    samples = [item['data_samples'] for batch in loader for item in batch]
    assert len(samples) == len(LABELS)
    for sample, (name, ids) in zip(samples, LABELS.items()):
        if name not in REASONS:
            assert sample.img_id == name and 'skipped' not in sample
            continue
        assert sample.img_id not in REASONS
        # its own image with its own labels, all of the classes present
        assert sample.gt_label.tolist() == LABELS[sample.img_id]
        assert set(ids) <= set(LABELS[sample.img_id])
        img_id, reason = sample.skipped
        assert img_id == name and REASONS[name] in reason
    again = [id_of(item) for item in build(root)]
    assert again == [sample.img_id for sample in samples]
    assert pickle.loads(pickle.dumps(data))[0] is not None


def test_nobody_can_stand_in(tmp_path):
    root = write(tmp_path / 'data')
    (root / 'list.txt').write_text('cut 0\nempty 0\nf 2\n')
    with pytest.raises(InputError, match='cut.jpg: .*no image with'):
        build(root)[0]


def groups_of(data):
    found = {}
    for group in data:
        ids = [id_of(item) for item in group]
        assert len(set(ids)) == len(ids)
        slots = [item['data_samples'].group_slot for item in group]
        assert slots == list(range(len(group)))
        found[ids[0]] = ids
    return found


@pytest.mark.slow
@pytest.mark.parametrize('match', ['any', 'each'])
def test_other_groups_stay_as_they_are(root, tmp_path, match):
    whole = write(tmp_path / 'data', broken=False)
    before = groups_of(GroupedDataset(build(whole, test_mode=True), 4, match))
    data = GroupedDataset(
        build(root, test_mode=True),
        4,
        match,
        reference=build(root, 'error', test_mode=True))
    after = groups_of(data)
    assert len(data) == len(after) == len(LABELS) - 3
    assert set(after) == set(LABELS) - set(REASONS)
    changed = 0
    for i, (name, ids) in enumerate(after.items()):
        assert not set(ids) & set(REASONS)
        assert data.get_data_info(i)['img_id'] == name
        assert data.get_cat_ids(i) == LABELS[name]
        for here, there in zip(ids, before[name]):
            if there in REASONS:
                changed += 1
                assert set(LABELS[here]) & set(LABELS[there])
            else:
                assert here == there
    assert changed > 0
    assert list(data.skipped) == list(REASONS)
    for name, reason in data.skipped.items():
        assert REASONS[name] in reason and f'{name}.jpg' in reason


def test_testing_without_groups_or_with_the_policy_error(root, tmp_path):
    with pytest.raises(CorruptImageError, match='cut.jpg'):
        build(root, test_mode=True)[0]  # nobody counts what is left out
    data = GroupedDataset(build(root, 'error', test_mode=True), 1)
    assert len(data) == len(LABELS) and not data.skipped
    with pytest.raises(CorruptImageError, match='empty.jpg'):
        data[1]
    bad = write(tmp_path / 'data')
    (bad / 'list.txt').write_text('cut 0\ntext 2\n')
    with pytest.raises(InputError, match='cut.jpg: .*as are all 2 images'):
        GroupedDataset(build(bad, test_mode=True), 1)
