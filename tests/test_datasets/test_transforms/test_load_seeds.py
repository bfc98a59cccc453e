# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest
from PIL import Image

from group_wsss.registry import TRANSFORMS
from group_wsss.utils.errors import InputError


@pytest.fixture
def dump(tmp_path):
    """A dump of two labels, one in a folder of its own."""
    names = ['background', *map(str, range(20))]
    manifest = dict(classes=names, labeler=dict(type='ThresholdLabeler'))
    (tmp_path / 'manifest.json').write_text(json.dumps(manifest))
    (tmp_path / 'ids.txt').write_text('a\nsub/b\nc\nrgb\nbad\n')
    (tmp_path / 'sub').mkdir()
    label = np.array([[0, 3, 255], [1, 20, 7]], np.uint8)
    for name in ('a', 'sub/b'):
        image = Image.fromarray(label, mode='P')
        image.putpalette(list(range(256)) * 3)
        image.save(tmp_path / f'{name}.png')
    return tmp_path


def load(folder, img_id='a', size=(2, 3)):
    transform = TRANSFORMS.build(
        dict(type='group_wsss.LoadSeeds', seed_dir=str(folder)))
    image = np.zeros((*size, 3), np.uint8)
    return transform(
        dict(img_id=img_id, img_path='p.jpg', img=image, ori_shape=size))


@pytest.mark.parametrize('img_id', ['a', 'sub/b'])
def test_indices_not_colours(dump, img_id):
    results = load(dump, img_id)
    assert results['gt_seg_map'].dtype == np.uint8
    assert results['gt_seg_map'].tolist() == [[0, 3, 255], [1, 20, 7]]
    assert results['seg_fields'] == ['gt_seg_map']
    results['gt_seg_map'][0, 0] = 1  # transforms write to it


def test_refused(dump, tmp_path):
    with pytest.raises(InputError, match='c.png: no such file'):
        load(dump, 'c')
    with pytest.raises(
            InputError, match=r'p.jpg: \(3, 3\) .*a.png has \(2, 3\)'):
        load(dump, 'a', (3, 3))
    with pytest.raises(InputError, match="'../a' has no label"):
        load(dump, '../a')
    Image.new('RGB', (3, 2)).save(dump / 'rgb.png')
    with pytest.raises(InputError, match='rgb.png: not an index PNG'):
        load(dump, 'rgb')
    (dump / 'bad.png').write_bytes((dump / 'a.png').read_bytes()[:60])
    with pytest.raises(InputError, match='bad.png: cannot be read'):
        load(dump, 'bad')


def test_a_folder_of_masks_is_refused(dump):
    (dump / 'manifest.json').unlink()
    with pytest.raises(InputError, match='no manifest.json: not a dump'):
        load(dump)
    (dump / 'manifest.json').write_text('{}')
    with pytest.raises(InputError, match="manifest.json: 'classes' must be"):
        load(dump)
    names = dict(classes=['background', 'cat'])
    for more in ({}, dict(labeler=dict(type='x'), supervision=['I', 'M'])):
        (dump / 'manifest.json').write_text(json.dumps({**names, **more}))
        with pytest.raises(InputError, match='not labels made from tags'):
            load(dump)
