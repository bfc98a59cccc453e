# Copyright (c) group_wsss contributors. All rights reserved.
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from group_wsss.apis.network import find_classes, read_config
from group_wsss.utils.errors import InputError
from group_wsss.utils.weights import build_network

DATA = dict(
    type='group_wsss.ImageLevelDataset',
    ann_file='list.json',
    metainfo=dict(classes=['from', 'config']))


def test_where_class_names_come_from(tmp_path):
    dump = tmp_path / 'pseudo_labels'
    weights = str(tmp_path / 'w.pth')
    cfg = Config(dict(model=dict(), test_dataloader=dict(dataset=DATA)))
    both = dict(meta=dict(dataset_meta=dict(classes=('from', 'meta'))))
    assert find_classes(None, {}, weights, cfg) == ('from', 'config')
    dump.mkdir()
    manifest = dict(classes=['background', 'from', 'manifest'])
    (dump / 'manifest.json').write_text(json.dumps(manifest))
    assert find_classes(None, {}, weights, cfg) == ('from', 'manifest')
    assert find_classes(None, both, weights, cfg) == ('from', 'meta')
    old = dict(meta=dict(CLASSES=['old']))
    assert find_classes(None, old, weights, cfg) == ('old', )
    for spec in (dump, dump / 'manifest.json'):
        found = find_classes(str(spec), {}, weights, cfg)
        assert found == ('from', 'manifest')
        with pytest.raises(InputError, match='w.pth .*: class 1 is'):
            find_classes(str(spec), both, weights, cfg)
    assert find_classes(['a', 'b'], {}, weights, cfg) == ('a', 'b')
    (tmp_path / 'names.txt').write_text('background\nfrom\nmeta\n')
    for source in (both, {}):
        assert find_classes(str(tmp_path / 'names.txt'), source, weights,
                            cfg) == ('from', 'meta')
    with pytest.raises(InputError, match='of voc differ from those of .*w.p'):
        find_classes('voc', both, weights, cfg)


@pytest.mark.parametrize('classes, words', [
    (None, 'w.pth: holds no class names; give classes'),
    (['a', 'a'], 'classes: class names must be strings, each once'),
    ([], 'class names must be'),
    ([1, 2], 'class names must be'),
    ('no.json', 'no.json: no such file'),
    ('no.txt', 'no.txt: no such file'),
    ('bad.json', "bad.json: 'classes' must be"),
    ('list.json', "list.json: 'classes' must be"),
])
def test_no_class_names(tmp_path, monkeypatch, classes, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'bad.json').write_text('{"classes": ["a"]}')
    (tmp_path / 'list.json').write_text('[1]')
    with pytest.raises(InputError) as caught:
        find_classes(classes, {}, 'w.pth', Config(dict(model=dict())))
    assert words in str(caught.value)


def small(num_classes):
    return Config(
        dict(
            model=dict(
                type='group_wsss.GroupCAM',
                backbone=dict(
                    type='mmpretrain.ResNet',
                    depth=18,
                    stem_channels=4,
                    base_channels=4,
                    out_indices=(3, )),
                head=dict(
                    type='group_wsss.GroupCAMHead',
                    in_channels=32,
                    num_classes=num_classes))))


def test_build(tmp_path):
    cfg = small('from_data')
    torch.manual_seed(0)
    net = MODELS.build(small(3).model)
    found = build_network(cfg, dict(state_dict=net.state_dict()), 'w', 3)
    assert not found.training
    assert cfg.model.head.num_classes == 'from_data'  # not changed
    for key, value in net.state_dict().items():
        assert torch.equal(found.state_dict()[key], value), key
    with pytest.raises(InputError, match='w: .*head.classifier.weight'):
        build_network(small(4), dict(state_dict=net.state_dict()), 'w', None)
    with pytest.raises(InputError, match='w: does not fit .*are missing'):
        build_network(small(3), dict(state_dict={}), 'w', None)


def test_config(tmp_path):
    with pytest.raises(InputError, match='none.py: no such config file'):
        read_config('none.py')
    for text in ('model = (', "_base_ = './absent.py'"):
        (tmp_path / 'bad.py').write_text(text)
        with pytest.raises(InputError, match='bad.py: '):
            read_config(str(tmp_path / 'bad.py'))
    with pytest.raises(InputError, match='config: has no model'):
        read_config(dict(x=1))
    cfg = small(3)
    copy = read_config(cfg)
    copy.model.head.num_classes = 9
    assert cfg.model.head.num_classes == 3
