# Copyright (c) group_wsss contributors. All rights reserved.
import json

import pytest
from mmengine.config import Config

from group_wsss.engine.runner import settle_num_classes
from group_wsss.utils.errors import InputError


@pytest.fixture
def root(tmp_path):
    """A list of three classes, a dump of two, images nowhere."""
    (tmp_path / 'labels.json').write_text(
        json.dumps(
            dict(classes=['x', 'y', 'z'], images=[dict(id='a', labels=[1])])))
    (tmp_path / 'manifest.json').write_text(
        json.dumps(
            dict(classes=['background', 'x', 'y'], palette=[[0, 0, 0]] * 3)))
    return tmp_path


def stage1(root, num_classes='from_data', **changes):
    data = dict(
        type='group_wsss.ImageLevelDataset',
        data_root=str(root),
        ann_file='labels.json',
        data_prefix='',
        pipeline=[dict(type='NoSuchTransform')])
    data.update(changes)
    return Config(
        dict(
            model=dict(head=dict(num_classes=num_classes)),
            train_dataloader=dict(dataset=dict(dataset=data))))


def stage2(root, first='from_data', second='from_data'):
    return Config(
        dict(
            default_scope='mmseg',
            model=dict(
                decode_head=dict(num_classes=first),
                auxiliary_head=[
                    dict(num_classes=second),
                    dict(num_classes=None)
                ]),
            val_dataloader=dict(
                dataset=dict(
                    type='group_wsss.PseudoLabelDataset',
                    ann_file='none.txt',
                    data_prefix=dict(seg_map_path=str(root))))))


def test_stage1(root):
    cfg = stage1(root)
    settle_num_classes(cfg, ['val_dataloader', 'train_dataloader'])
    assert cfg.model.head.num_classes == 3


def test_stage2(root):
    cfg = stage2(root)
    settle_num_classes(cfg, ['train_dataloader', 'val_dataloader'])
    assert cfg.model.decode_head.num_classes == 3
    assert [h.num_classes for h in cfg.model.auxiliary_head] == [3, None]


def test_disagreement(root):
    cfg = stage1(root, 7)
    with pytest.raises(
            InputError,
            match='model.head.num_classes is 7, but the data .* 3 classes'):
        settle_num_classes(cfg, ['train_dataloader'])
    cfg = stage2(root, second=4)
    with pytest.raises(InputError, match=r'auxiliary_head.0.num_classes is 4'):
        settle_num_classes(cfg, ['val_dataloader'])
    settle_num_classes(stage1(root, 3), ['train_dataloader'])


def test_others_stay_as_they_are(root):
    cfg = stage1(root, 7, type='group_wsss.VOCImageLevel')
    settle_num_classes(cfg, ['train_dataloader'])
    assert cfg.model.head.num_classes == 7
    settle_num_classes(Config(dict(model=None)), ['train_dataloader'])
    settle_num_classes(Config(dict(a=1)), ['train_dataloader'])


def test_class_attribute(root):
    """Names that are known without any file."""
    cfg = stage1(root, type='group_wsss.VOCImageLevel')
    settle_num_classes(cfg, ['train_dataloader'])
    assert cfg.model.head.num_classes == 20
    cfg = stage1(root, type='CityscapesDataset', data_prefix={})
    cfg.default_scope = 'mmseg'
    settle_num_classes(cfg, ['train_dataloader'])
    assert cfg.model.head.num_classes == 19


def test_nothing_to_count(root):
    with pytest.raises(InputError, match='there is no val_dataloader'):
        settle_num_classes(stage1(root), ['val_dataloader'])
    (root / 'labels.txt').write_text('a 1\n')
    cfg = stage1(root, ann_file='labels.txt')
    with pytest.raises(InputError, match='labels.txt carries no class names'):
        settle_num_classes(cfg, ['train_dataloader'])
    cfg = stage1(root, type='BaseSegDataset', data_prefix={})
    cfg.default_scope = 'mmseg'
    with pytest.raises(InputError, match='BaseSegDataset knows no class'):
        settle_num_classes(cfg, ['train_dataloader'])


def test_more_than_a_label_image_holds(root):
    images = [dict(id='a', labels=[1])]
    for count in (254, 255):
        names = [str(i) for i in range(count)]
        (root / 'labels.json').write_text(
            json.dumps(dict(classes=names, images=images)))
        if count == 254:
            settle_num_classes(stage1(root), ['train_dataloader'])
        else:
            with pytest.raises(InputError, match='names 255 classes: label'):
                settle_num_classes(stage1(root), ['train_dataloader'])
