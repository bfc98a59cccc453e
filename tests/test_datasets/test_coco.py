# Copyright (c) group_wsss contributors. All rights reserved.
import json
import logging
import sys

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from group_wsss.datasets import COCO_CLASSES, CocoImageLevel, CocoVOCStyle
from group_wsss.structures.coco_json import index_instances, read_instances
from group_wsss.structures.label_image import voc_palette
from group_wsss.utils.errors import InputError

# ids with gaps, not in their order
CATEGORIES = [dict(id=90, name='toothbrush'), dict(id=7, name='train'),
              dict(id=13, name='stop sign')]  # yapf: disable
NAMES = ('train', 'stop sign', 'toothbrush')
# image, category, crowd, area
ANNOTATIONS = [(30, 90, 0, 100.), (10, 7, 0, 40.), (10, 90, 1, 900.),
               (10, 7, 0, 10.), (30, 7, 0, 39.9), (40, 13, 1, 8.)]


def instances(annotations=ANNOTATIONS):
    return dict(
        categories=[dict(entry) for entry in CATEGORIES],
        images=[
            dict(id=i, file_name=f'{name}.jpg', height=4, width=6)
            for i, name in ((30, 'c'), (10, 'a'), (20, 'b'), (40, 'd'))
        ],
        annotations=[
            dict(
                id=100 + i,
                image_id=image,
                category_id=category,
                iscrowd=crowd,
                area=area,
                segmentation=[[0, 0, 3, 0, 3, 3]])
            for i, (image, category, crowd, area) in enumerate(annotations)
        ])


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'train2014').mkdir()
    for name in 'abcd':
        (tmp_path / f'train2014/{name}.jpg').write_bytes(b'')
    (tmp_path / 'x.json').write_text(json.dumps(instances()))
    return tmp_path


def tags(root, **kwargs):
    data = CocoImageLevel('x.json', data_root=str(root), **kwargs)
    return {
        data.get_data_info(i)['img_id']: data.get_cat_ids(i)
        for i in range(len(data))
    }


@pytest.mark.parametrize('options, expected', [
    (dict(), dict(c=[0, 2], a=[0, 2], d=[1])),
    (dict(test_mode=True), dict(c=[0, 2], a=[0, 2], d=[1])),
    (dict(unlabeled='keep'), dict(c=[0, 2], a=[0, 2], b=[], d=[1])),
    (dict(crowd='ignore'), dict(c=[0, 2], a=[0])),
    (dict(min_area=40), dict(c=[2], a=[0, 2])),
    (dict(min_area=40, crowd='ignore'), dict(c=[2], a=[0])),
])
def test_labels(root, options, expected):
    found = tags(root, **options)
    assert found == expected and list(found) == list(expected)


def test_metainfo_and_paths(root):
    data = CocoImageLevel('x.json', data_root=str(root))
    assert data.metainfo['classes'] == NAMES
    assert data.metainfo['palette'] == voc_palette(4)[1:].tolist()
    assert data.get_data_info(0)['img_path'] == str(root / 'train2014/c.jpg')
    assert data.get_data_info(0)['gt_label'].dtype == np.int64
    CocoImageLevel('x.json', data_root=str(root), classes=NAMES)
    with pytest.raises(InputError, match='x.json differ from those of meta'):
        CocoImageLevel('x.json', data_root=str(root), classes=NAMES[::-1])


def test_unlabeled_error(root):
    with pytest.raises(InputError, match="1 of 4 images have no class.*'b'"):
        tags(root, unlabeled='error')
    (root / 'x.json').write_text(json.dumps(instances([])))
    with pytest.raises(InputError, match='nothing to train on'):
        tags(root)


def test_random_json_equals_a_loop():
    rng = np.random.default_rng(0)
    ids = rng.permutation(5000)[:200].tolist()
    content = dict(
        categories=CATEGORIES,
        images=[dict(id=i, file_name=f'{i}.png') for i in ids],
        annotations=[
            dict(
                id=k,
                image_id=ids[rng.integers(200)],
                category_id=CATEGORIES[rng.integers(3)]['id'],
                iscrowd=int(rng.random() < 0.3),
                area=float(rng.integers(100))) for k in range(400)
        ])
    numbers = {7: 0, 13: 1, 90: 2}
    for crowd, least in (('keep', 0), ('ignore', 0), ('keep', 60.5)):
        wanted = {i: set() for i in ids}
        for entry in content['annotations']:
            if entry['area'] >= least and not (crowd == 'ignore'
                                               and entry['iscrowd']):
                wanted[entry['image_id']].add(numbers[entry['category_id']])
        index = index_instances(content, 'x')
        labels, offsets = index.tags(crowd, least)
        found = [labels[a:b].tolist() for a, b in zip(offsets, offsets[1:])]
        assert found == [sorted(wanted[i]) for i in ids]
        assert index.img_ids == [str(i) for i in ids]


def test_missing_images(root, monkeypatch):
    lines = []
    monkeypatch.setattr(
        'group_wsss.datasets.coco.print_log',
        lambda text, logger, level: lines.append((level, text)))
    assert len(tags(root, strict=True)) == 3 and not lines
    for name in 'ad':
        (root / f'train2014/{name}.jpg').unlink()
    assert tags(root) == dict(c=[0, 2])
    (level, text), = lines
    assert level == logging.WARNING and '\n' not in text
    assert text.startswith(f'{root}/x.json: 2 of 4 images are not in '
                           f'{root}/train2014, first a.jpg, and')
    path = root / 'train2014/a.jpg'
    with pytest.raises(InputError, match=rf'^{path}: no such image \(2'):
        tags(root, strict=True)
    assert len(tags(root, check_files=False)) == 3
    (root / 'train2014').rename(root / 'elsewhere')
    with pytest.raises(InputError, match='c.jpg: .*4 of 4'):
        tags(root)


def test_images_in_folders(root):
    content = instances()
    content['images'][1]['file_name'] = 'part 1/a.jpg'
    (root / 'x.json').write_text(json.dumps(content))
    (root / 'train2014/part 1').mkdir()
    (root / 'train2014/a.jpg').rename(root / 'train2014/part 1/a.jpg')
    found = tags(root, strict=True)
    assert found == {'c': [0, 2], 'part 1/a': [0, 2], 'd': [1]}


def test_no_mask_is_kept(root):
    path = str(root / 'x.json')
    assert all('segmentation' not in entry
               for entry in read_instances(path)['annotations'])
    index = index_instances(read_instances(path), path)
    assert index.segmentations is index.sizes is None
    content = read_instances(path, masks=True)
    assert content == instances()
    index = index_instances(content, path, masks=True)
    assert len(index.segmentations) == 6
    assert index.sizes.tolist() == [[4, 6]] * 4


# table, place, change (None removes a key) and message
BAD = [
    ('annotations', dict(category_id=12),
     'category_id 12 is not among the categories'),
    ('annotations', dict(image_id=11), 'image_id 11 is not among the images'),
    ('annotations', dict(category_id=None), "no 'category_id'"),
    ('annotations', dict(category_id='7'),
     "'category_id' is no integer but '7"),
    ('annotations', dict(category_id=7.5),
     "'category_id' is no integer but '7"),
    ('annotations', dict(image_id=[10]), "'image_id' is no integer"),
    ('annotations', dict(image_id=10**30), "'image_id' is no integer of 64"),
    ('annotations', dict(id=None), "no 'id'"),
    ('annotations', dict(id=100), 'id .* is that of'),
    ('annotations', dict(iscrowd=2), "'iscrowd' is not 0"),
    ('annotations', dict(area=float('nan')), "'area' is NaN"),
    ('annotations', dict(area=-1.), "'area' is negative"),
    ('annotations', dict(area=float('inf')), "'area' is negative or infinite"),
    ('annotations', dict(area=10**400), "'area' is negative or infinite"),
    ('annotations', dict(area='9'), "'area' is no number but '9'"),
    ('images', dict(id=30), 'id .* is that of'),
    ('images', dict(file_name=None), "no 'file_name'"),
    ('images', dict(file_name='../a.jpg'), "file_name .*contains '..'"),
    ('images', dict(file_name='/a.jpg'), 'file_name .*is absolute'),
    ('images', dict(file_name='c.png'),
     r"image id 'c' is that of images\[0\]"),
    ('categories', dict(id=90), 'id .* is that of'),
    ('categories', dict(name=''), "'name' is no text"),
]


def change(content, table, **values):
    """Change the third entry of a table; None removes a key."""
    entry = content[table][2]
    entry.update(values)
    for key in [key for key in values if values[key] is None]:
        del entry[key]
    known = f' .id {entry["id"]}.' if 'id' in entry else ''
    return rf'{table}\[2\]{known}: '


def refused(root, message):
    with pytest.raises(InputError, match=message) as caught:
        tags(root)
    assert str(caught.value).startswith(f'{root}/x.json:')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('table, values, message', BAD)
def test_bad_entry(root, table, values, message):
    content = instances()
    where = change(content, table, **values)
    (root / 'x.json').write_text(json.dumps(content))
    refused(root, f'x.json: {where}.*{message}')


@pytest.mark.parametrize('table', ['annotations', 'images', 'categories'])
def test_bad_table(root, table):
    for value, message in ((None, f'no list {table!r}'),
                           ({}, f'no list {table!r}'), ([],
                                                        f'{table!r} is empty'),
                           ([7], rf'{table}\[0\]: not an object')):
        if value != [] or table != 'annotations':
            content = dict(instances(), **{table: value})
            (root / 'x.json').write_text(json.dumps(content))
            refused(root, message)


def test_category_named_twice(root):
    content = instances()
    change(content, 'categories', name='train')
    (root / 'x.json').write_text(json.dumps(content))
    refused(root, r"name 'train' is that of categories\[1\]")


@pytest.mark.parametrize('data, message', [
    (b'\n\n{]', 'x.json:3: not JSON'),
    (b'null', 'expected an object'),
    (b'\n\xff', 'x.json:2: not UTF-8'),
    (b'[' * 100000, 'nested too deeply'),
    (b'[' + b'9' * 5000 + b']', 'a number too long'),
])
def test_not_an_instances_json(root, data, message):
    (root / 'x.json').write_bytes(data)
    refused(root, message)


def test_absent_json_and_wrong_options(root):
    with pytest.raises(InputError, match='y.json: no such annotation file'):
        CocoImageLevel('y.json', data_root=str(root))
    for options, message in ((dict(crowd='drop'), 'is not one of'),
                             (dict(min_area=-1), '0 or more'),
                             (dict(min_area=float('nan')), '0 or more'),
                             (dict(min_area=float('inf')), '0 or more')):
        with pytest.raises(InputError, match=message):
            tags(root, **options)


def test_keys_that_need_not_be_there(root):
    content = instances()
    content['annotations'][4]['area'] = None
    del content['annotations'][5]['area'], content['annotations'][5]['iscrowd']
    (root / 'x.json').write_text(json.dumps(content))
    assert tags(root, crowd='ignore') == dict(c=[0, 2], a=[0], d=[1])
    with pytest.raises(InputError, match="annotation 104 has no 'area'"):
        tags(root, min_area=1)


@pytest.mark.parametrize('key, value', [('height', None), ('width', 0),
                                        ('width', 70000), ('height', '4')])
def test_sizes_are_checked_for_masks(root, key, value):
    content = instances()
    where = change(content, 'images', **{key: value})
    index_instances(content, 'x.json')
    with pytest.raises(InputError, match=f'x.json: {where}'):
        index_instances(content, 'x.json', masks=True)


def test_names_are_those_of_the_shared_masks(data_root):
    assert len(set(COCO_CLASSES)) == 80
    known = json.loads((data_root / 'labels.json').read_text())
    assert known['coco_classes'] == ['background', *COCO_CLASSES]


def test_coco_voc_style(tmp_path):
    label = np.array([[0, 80, 255], [1, 40, 0]], np.uint8)
    Image.fromarray(label).save(tmp_path / 'a.png')
    Image.new('RGB', (3, 2)).save(tmp_path / 'a.jpg')
    (tmp_path / 'ids.txt').write_text('a\n')
    with DefaultScope.overwrite_default_scope('mmseg'):
        data = DATASETS.build(
            dict(
                type='group_wsss.CocoVOCStyle',
                ann_file=str(tmp_path / 'ids.txt'),
                data_prefix=dict(
                    img_path=str(tmp_path), seg_map_path=str(tmp_path)),
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='LoadAnnotations', imdecode_backend='pillow'),
                    dict(type='PackSegInputs')
                ]))
        sample = data[0]['data_samples']
    assert isinstance(data, CocoVOCStyle)
    # zero is the background, not "ignored"
    assert np.array_equal(sample.gt_sem_seg.data[0], label)
    classes, palette = data.metainfo['classes'], data.metainfo['palette']
    assert classes == ('background', ) + COCO_CLASSES
    assert palette == voc_palette(81).tolist()
    assert len({tuple(color) for color in palette}) == 81


def test_without_pycocotools(monkeypatch):
    from group_wsss.structures.segmentation import decode_segmentation
    monkeypatch.setitem(sys.modules, 'pycocotools', None)
    with pytest.raises(InputError, match='pip install pycocotools'):
        decode_segmentation([[0, 0, 4, 0, 4, 4]], 8, 8)
