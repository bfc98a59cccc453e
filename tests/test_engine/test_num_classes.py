# Copyright (c) group_wsss contributors. All rights reserved.
import json
from contextlib import nullcontext

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


def settle(cfg, *loaders):
    settle_num_classes(cfg, loaders or ['train_dataloader'])
    return cfg.model


def test_both_stages(root):
    model = settle(stage1(root), 'val_dataloader', 'train_dataloader')
    assert model.head.num_classes == 3
    model = settle(stage2(root), 'train_dataloader', 'val_dataloader')
    assert model.decode_head.num_classes == 3
    assert [h.num_classes for h in model.auxiliary_head] == [3, None]


def test_disagreement(root):
    with pytest.raises(
            InputError,
            match='model.head.num_classes is 7, but the data .* 3 classes'):
        settle(stage1(root, 7))
    with pytest.raises(InputError, match=r'auxiliary_head.0.num_classes is 4'):
        settle(stage2(root, second=4), 'val_dataloader')
    settle(stage1(root, 3))


def test_others_stay_as_they_are(root):
    model = settle(stage1(root, 7, type='group_wsss.VOCImageLevel'))
    assert model.head.num_classes == 7
    for cfg in (dict(model=None), dict(a=1)):
        settle_num_classes(Config(cfg), ['train_dataloader'])


@pytest.mark.parametrize('changes, count', [
    (dict(type='group_wsss.VOCImageLevel'), 20),
    (dict(type='CityscapesDataset', data_prefix={}), 19),
])
def test_class_attribute(root, changes, count):
    """Names that are known without any file."""
    cfg = stage1(root, **changes)
    cfg.default_scope = 'mmseg'
    assert settle(cfg).head.num_classes == count


def test_nothing_to_count(root):
    with pytest.raises(InputError, match='there is no val_dataloader'):
        settle(stage1(root), 'val_dataloader')
    (root / 'labels.txt').write_text('a 1\n')
    with pytest.raises(InputError, match='labels.txt carries no class names'):
        settle(stage1(root, ann_file='labels.txt'))
    cfg = stage1(root, type='BaseSegDataset', data_prefix={})
    cfg.default_scope = 'mmseg'
    with pytest.raises(InputError, match='BaseSegDataset knows no class'):
        settle(cfg)


@pytest.mark.parametrize('count, error', [
    (254, nullcontext()),
    (255, pytest.raises(InputError, match='names 255 classes: label')),
])
def test_more_than_a_label_image_holds(root, count, error):
    names = [str(i) for i in range(count)]
    (root / 'labels.json').write_text(
        json.dumps(dict(classes=names, images=[dict(id='a', labels=[1])])))
    with error:
        settle(stage1(root))
