# Copyright (c) group_wsss contributors. All rights reserved.
import os

import numpy as np
import pytest
from PIL import Image

from group_wsss.datasets import LabelIndex, ToyImageLevel, generate_toy
from group_wsss.datasets import toy as toy_module
from group_wsss.datasets.toy_render import NUM_CLASSES, render
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


def test_same_images_as_ever():
    """What was measured on the toy set must stay comparable."""
    images, masks = zip(*(render(np.random.default_rng((7, i)), 48, i % 6)
                          for i in range(12)))
    assert np.bincount(
        np.ravel(masks),
        minlength=7).tolist() == [19103, 883, 1550, 2252, 625, 1647, 1588]
    np.testing.assert_allclose(
        np.mean(images, (0, 1, 2)), [110.997, 106.593, 103.519], atol=.01)
    np.testing.assert_allclose(
        np.std(images, (1, 2, 3)), [
            27.34, 34.756, 32.391, 34.245, 39.407, 33.416, 29.799, 31.254,
            23.457, 25.568, 33.887, 32.306
        ],
        atol=.01)


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


def test_settings_out_of_range(tmp_path):
    for name, value in (('size', 8), ('num_train', 0), ('num_val', -1),
                        ('seed', -1)):
        with pytest.raises(InputError, match=f'{name}={value} is outside'):
            generate_toy(tmp_path / 'toy', **{**SMALL, name: value})
    assert not (tmp_path / 'toy').exists()


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
