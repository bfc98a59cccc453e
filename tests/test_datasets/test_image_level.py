# Copyright (c) group_wsss contributors. All rights reserved.
import os

import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image

from group_wsss.datasets import ImageLevelDataset
from group_wsss.registry import DATASETS
from group_wsss.utils.errors import InputError

PIPELINE = [
    dict(type='group_wsss.LoadImage'),
    dict(
        type='mmpretrain.PackInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape'))
]
META = dict(classes=('cat', 'dog', 'cow'))


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'JPEGImages/sub').mkdir(parents=True)
    for i, name in enumerate(('a', 'sub/b', 'c')):
        Image.new('RGB', (9, 7),
                  (i, 50, 100)).save(tmp_path / f'JPEGImages/{name}.jpg')
    (tmp_path / 'list.txt').write_text('a 2 0\nsub/b 1\nc\n')
    return tmp_path


@pytest.mark.parametrize('serialize', [True, False])
def test_items(root, serialize):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(
            dict(
                type='group_wsss.ImageLevelDataset',
                ann_file='list.txt',
                data_root=str(root),
                metainfo=META,
                test_mode=True,
                serialize_data=serialize,
                pipeline=PIPELINE))
    assert len(data) == 3 and data.metainfo['classes'] == META['classes']
    info = data.get_data_info(1)
    assert info['img_id'] == 'sub/b'
    assert info['img_path'] == str(root / 'JPEGImages/sub/b.jpg')
    assert data.get_cat_ids(0) == [0, 2] and data.get_cat_ids(2) == []
    sample = data[0]['data_samples']
    assert sample.gt_label.tolist() == [0, 2]
    assert sample.img_id == 'a' and sample.ori_shape == (7, 9)
    # an empty label stays a LongTensor
    assert data[2]['data_samples'].gt_label.dtype == torch.int64
    assert data[2]['data_samples'].gt_label.numel() == 0


def test_unlabeled(root, monkeypatch):
    lines = []
    monkeypatch.setattr('group_wsss.datasets.image_level.print_log',
                        lambda text, **kwargs: lines.append(text))
    args = dict(ann_file='list.txt', data_root=str(root), metainfo=META)
    assert len(ImageLevelDataset(**args)) == 2
    assert len(lines) == 1 and '1 of 3 images' in lines[0]
    assert len(ImageLevelDataset(**args, test_mode=True)) == 3
    assert len(ImageLevelDataset(**args, unlabeled='keep')) == 3
    data = ImageLevelDataset(**args, indices=[1])
    assert data.get_gt_labels().tolist() == [[1]]
    with pytest.raises(InputError, match="1 of 3 images .*'c'"):
        ImageLevelDataset(**args, unlabeled='error')
    with pytest.raises(InputError, match='unlabeled='):
        ImageLevelDataset(**args, unlabeled='no')
    (root / 'bare.txt').write_text('a\nc\n')
    with pytest.raises(InputError, match='nothing to train on'):
        ImageLevelDataset(**dict(args, ann_file='bare.txt'))


def test_missing_files_are_counted(root):
    (root / 'more.txt').write_text('a 0\nsub/no 1\nnone/x 1\nc 1\n')
    args = dict(ann_file='more.txt', data_root=str(root), metainfo=META)
    with pytest.raises(InputError, match='sub/no.jpg: no such.*2 of 4'):
        ImageLevelDataset(**args)
    assert len(ImageLevelDataset(**args, check_files=False)) == 4


def test_files_are_listed_once_per_folder(root, monkeypatch):
    calls, listdir = [], os.listdir
    monkeypatch.setattr('group_wsss.structures.folders.os.listdir',
                        lambda path: calls.append(path) or listdir(path))
    ImageLevelDataset('list.txt', data_root=str(root), metainfo=META)
    assert sorted(calls) == [
        str(root / 'JPEGImages'),
        str(root / 'JPEGImages/sub')
    ]


def test_class_names(root):
    with pytest.raises(InputError, match='metainfo.classes'):
        ImageLevelDataset('list.txt', data_root=str(root))
    with pytest.raises(InputError, match='a class twice'):
        ImageLevelDataset(
            'list.txt', data_root=str(root), classes=['a', 'a', 'b'])
    with pytest.raises(InputError, match='out of range 0..1'):
        ImageLevelDataset('list.txt', data_root=str(root), classes=['a', 'b'])
    (root / 'list.json').write_text(
        '{"classes": ["p", "q"], "images": [{"id": "a", "labels": ["q"]}]}')
    data = ImageLevelDataset('list.json', data_root=str(root))
    assert data.metainfo['classes'] == ('p', 'q')
    assert data.get_cat_ids(0) == [1]


def test_a_pipeline_without_an_image(root):
    data = ImageLevelDataset(
        'list.txt',
        data_root=str(root),
        metainfo=META,
        pipeline=[lambda results: None])
    with pytest.raises(InputError, match='a.jpg: the pipeline gave no image'):
        data[0]
