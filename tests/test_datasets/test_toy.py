# Copyright (c) group_wsss contributors. All rights reserved.
import os

import numpy as np
import pytest
from mmengine.runner import Runner
from PIL import Image

from group_wsss.datasets import LabelIndex, ToyImageLevel, generate_toy
from group_wsss.datasets import toy as toy_module
from group_wsss.datasets.toy_render import NUM_CLASSES, shape_creature
from group_wsss.structures import read_image_list
from group_wsss.utils.errors import InputError

SMALL = dict(num_train=12, num_val=4, size=48)


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    root = tmp_path_factory.mktemp('toy') / 'set'
    assert generate_toy(root, num_train=48, num_val=6, size=64, seed=3)
    return root


def content(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*')) if path.is_file()
    }


def mask_of(root, name):
    with Image.open(root / f'SegmentationClass/{name}.png') as image:
        assert image.mode == 'P'
        return np.asarray(image)


def test_layout_and_tags(toy):
    for split, count in (('train', 48), ('val', 6)):
        records = read_image_list(toy / f'ImageSets/{split}_cls.txt').records
        plain = read_image_list(toy / f'ImageSets/{split}.txt').records
        assert [r.img_id for r in records] == [r.img_id for r in plain]
        assert len(records) == count
        for record in records:
            mask = mask_of(toy, record.img_id)
            found = tuple(int(v) - 1 for v in np.unique(mask) if v)
            assert found == record.labels and record.labels
            with Image.open(toy / f'JPEGImages/{record.img_id}.jpg') as image:
                assert image.size == mask.shape == (64, 64)


def test_poses_the_problem(toy):
    data = ToyImageLevel(data_root=str(toy))
    labels = [data.get_cat_ids(i) for i in range(len(data))]
    index = LabelIndex(labels, NUM_CLASSES)
    assert index.class_images.sizes.min() >= 8
    assert np.mean([len(ids) > 1 for ids in labels]) > 0.3
    share = np.mean([(mask_of(toy, f'train_{i:05d}') > 0).mean()
                     for i in range(48)])
    assert 0.15 < share < 0.5


def test_telling_part_is_small():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96] + 0.5
    shares = []
    for i in range(30):
        thing = shape_creature(rng, 96, i % 6, 1.0, x, y, (48, 48))
        shares.append((thing.head < 0).sum() / thing.mask.sum())
    assert 0.08 < np.mean(shares) < 0.2


def test_deterministic_and_seeded(tmp_path):
    generate_toy(tmp_path / 'a', **SMALL)
    generate_toy(tmp_path / 'b', **SMALL)
    assert content(tmp_path / 'a') == content(tmp_path / 'b')
    generate_toy(tmp_path / 'c', **SMALL, seed=1)
    name = 'JPEGImages/train_00000.jpg'
    assert content(tmp_path / 'a')[name] != content(tmp_path / 'c')[name]
    # a larger set begins with the smaller one, val differs from train
    generate_toy(tmp_path / 'd', **dict(SMALL, num_train=13))
    assert content(tmp_path / 'a')[name] == content(tmp_path / 'd')[name]
    assert content(tmp_path / 'a')[name] != content(
        tmp_path / 'a')['JPEGImages/val_00000.jpg']


def test_finished_is_skipped_and_interrupted_redone(tmp_path, monkeypatch):
    whole = tmp_path / 'whole'
    assert generate_toy(whole, **SMALL) is True
    assert generate_toy(whole, **SMALL) is False
    assert not list(whole.rglob('*.part')) and (whole / 'toy.json').exists()

    cut, calls = tmp_path / 'cut', []
    write = toy_module.atomic_write

    def stop(path, data):
        calls.append(path)
        if len(calls) == 9:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(toy_module, 'atomic_write', stop)
    with pytest.raises(KeyboardInterrupt):
        generate_toy(cut, **SMALL)
    assert not (cut / 'toy.json').exists()
    monkeypatch.setattr(toy_module, 'atomic_write', write)
    assert generate_toy(cut, **SMALL) is True
    assert content(cut) == content(whole)
    # a lost file is made again
    (cut / 'JPEGImages/val_00001.jpg').unlink()
    assert generate_toy(cut, **SMALL) is True
    assert content(cut) == content(whole)


def test_other_folders_are_left_alone(tmp_path):
    generate_toy(tmp_path / 'toy', **SMALL)
    with pytest.raises(InputError, match='other settings'):
        generate_toy(tmp_path / 'toy', **dict(SMALL, seed=9))
    (tmp_path / 'voc/JPEGImages').mkdir(parents=True)
    with pytest.raises(InputError, match='no toy set'):
        generate_toy(tmp_path / 'voc', **SMALL)
    assert os.listdir(tmp_path / 'voc') == ['JPEGImages']
    (tmp_path / 'file').write_text('')
    for root in (tmp_path / 'file', tmp_path / 'file/deeper'):
        with pytest.raises(InputError, match='file'):
            generate_toy(root, **SMALL)


@pytest.mark.parametrize('wrong', [
    dict(size=8),
    dict(num_train=0),
    dict(num_val=-1),
    dict(seed=-1),
])
def test_settings_out_of_range(tmp_path, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        generate_toy(tmp_path / 'toy', **{**SMALL, **wrong})
    assert not (tmp_path / 'toy').exists()


@pytest.mark.slow
@pytest.mark.parametrize('sampler', ['DefaultSampler', 'InfiniteSampler'])
def test_loader_of_the_runner(toy, sampler):
    pipeline = [
        dict(type='group_wsss.LoadImage'),
        dict(type='mmpretrain.PackInputs', meta_keys=('img_id', 'ori_shape'))
    ]
    data = dict(
        type='group_wsss.ToyImageLevel', data_root=str(toy), pipeline=pipeline)
    train = Runner.build_dataloader(
        dict(
            dataset=data,
            batch_size=6,
            num_workers=1,
            sampler=dict(type=sampler, shuffle=True),
            batch_sampler=dict(
                type='group_wsss.GroupBatchSampler', group_size=3)),
        seed=1)
    batch = next(iter(train))
    labels = [set(s.gt_label.tolist()) for s in batch['data_samples']]
    assert len(batch['inputs']) == 6 and len(train) == 24
    assert set.intersection(*labels[:3]) and set.intersection(*labels[3:])
    test = Runner.build_dataloader(
        dict(
            dataset=dict(
                type='group_wsss.GroupedDataset', group_size=3, dataset=data),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='group_wsss.group_collate')))
    batch = next(iter(test))
    assert [s.img_id for s in batch['data_samples']
            ][::3] == ['train_00000', 'train_00001']


def test_script(tmp_path, call_tool, capsys):
    words = ('dataset_converters/toy', '--out', tmp_path / 'toy',
             '--num-train', 6, '--num-val', 1)
    call_tool(*words)
    assert capsys.readouterr().out.endswith('/toy: toy set written\n')
    assert len(list((tmp_path / 'toy/JPEGImages').iterdir())) == 7
    with pytest.raises(SystemExit) as leaving:
        call_tool(*words, '--size', '5')
    assert leaving.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == 'error: size=5 is outside 32..1024'
