# Copyright (c) group_wsss contributors. All rights reserved.
"""Tags on their way through a pipeline of mmseg."""
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from group_wsss.contrib.single_stage import PackTags, TaggedImages
from group_wsss.datasets import VOC_CLASSES
from group_wsss.engine.runner import settle_num_classes
from group_wsss.utils.errors import InputError

PIPELINE = [
    dict(type='group_wsss.LoadImage'),
    dict(type='Resize', scale=(32, 32), keep_ratio=False),
    dict(type='RandomCrop', crop_size=(24, 24)),
    dict(type='RandomFlip', prob=1.0),
    dict(type='group_wsss.PackTags')
]


def images(root, **changes):
    options = dict(
        ann_file='ImageSets/train_cls.txt',
        data_root=str(root),
        metainfo=dict(classes=tuple('abcd')),
        pipeline=PIPELINE)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return TaggedImages(**{**options, **changes})


def test_tags_reach_the_sample(tiny_voc):
    data = images(tiny_voc)
    for i in range(8):
        item = data[i]
        sample = item['data_samples']
        assert item['inputs'].shape == (3, 24, 24)
        assert sample.gt_label.tolist() == [i % 4]
        assert sample.gt_label.dtype == torch.int64
        assert sample.img_id == f'tiny_{i}' and sample.flip
        # nothing that was not allowed to
        assert 'gt_sem_seg' not in sample and 'seg_map_path' not in sample
    assert data.get_cat_ids(5) == [1]  # of groups


def test_names_are_those_of_a_segmentor(tiny_voc):
    meta = images(tiny_voc).metainfo
    assert meta['classes'] == ('background', *'abcd')
    assert len(meta['palette']) == 5 and meta['palette'][0] == [0, 0, 0]
    meta = images(tiny_voc, metainfo=dict(classes=VOC_CLASSES)).metainfo
    assert meta['palette'][1] == [128, 0, 0] and len(meta['palette']) == 21


def test_classes_from_the_list(tiny_voc, tmp_path):
    path = tmp_path / 'labels.json'
    images = [dict(id='tiny_0', labels=[1])]
    path.write_text(json.dumps(dict(classes=['x', 'y', 'z'], images=images)))
    data = dict(
        type='group_wsss.TaggedImages',
        data_root=str(tiny_voc),
        ann_file=str(path))
    cfg = Config(
        dict(
            default_scope='mmseg',
            model=dict(decode_head=dict(num_classes='from_data')),
            train_dataloader=dict(dataset=data)))
    settle_num_classes(cfg, ['train_dataloader'])
    assert cfg.model.decode_head.num_classes == 4


def test_an_image_without_tags_to_pack():
    with pytest.raises(InputError, match='^a.jpg: no tags .*TaggedImages'):
        PackTags()(dict(img_path='a.jpg'))
