# Copyright (c) group_wsss contributors. All rights reserved.
import json
import logging
import sys

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from group_wsss.datasets import (COCO_CLASSES, CocoImageLevel, CocoVOCStyle,
                                 LabelIndex)
from group_wsss.datasets.coco_json import index_instances, read_instances
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
        # what the sampler builds from it
        counts = LabelIndex(found, 3).class_images.sizes
        assert counts.tolist() == [
            sum(c in own for own in wanted.values()) for c in range(3)
        ]


def test_missing_images(root, monkeypatch):
    lines = []
    monkeypatch.setattr(
        'group_wsss.datasets.coco.print_log',
        lambda text, logger, level: lines.append((level, text)))
    tags(root)
    assert not lines
    (root / 'train2014/a.jpg').unlink()
    (root / 'train2014/d.jpg').unlink()
    assert tags(root) == dict(c=[0, 2])
    (level, text), = lines
    assert level == logging.WARNING and '\n' not in text
    assert text.startswith(f'{root}/x.json: 2 of 4 images are not in '
                           f'{root}/train2014, first a.jpg, and')
    path = root / 'train2014/a.jpg'
    with pytest.raises(InputError, match=rf'^{path}: no such image \(2'):
        tags(root, strict=True)
    assert len(tags(root, check_files=False)) == 3
    for path in (root / 'train2014').iterdir():
        path.unlink()
    with pytest.raises(InputError, match='c.jpg: .*4 of 4'):
        tags(root)
    (root / 'train2014').rmdir()
    with pytest.raises(InputError, match='c.jpg: .*4 of 4'):
        tags(root)


def test_images_in_folders(root):
    content = instances()
    content['images'][1]['file_name'] = 'part 1/a.jpg'
    (root / 'x.json').write_text(json.dumps(content))
    (root / 'train2014/part 1').mkdir()
    (root / 'train2014/a.jpg').rename(root / 'train2014/part 1/a.jpg')
    assert tags(
        root, strict=True) == {
            'c': [0, 2],
            'part 1/a': [0, 2],
            'd': [1]
        }


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


def put(table, place, **values):
    """A change of one entry; None removes a key."""

    def change(content):
        entry = content[table][place]
        entry.update(values)
        for key in [key for key in values if values[key] is None]:
            del entry[key]

    return change


def without(key):
    return lambda content: content.pop(key)


ANN = r'annotations\[2\] \(id 102\): '
BAD = {
    'no annotations': (without('annotations'), "no list 'annotations'"),
    'no images': (without('images'), "no list 'images'"),
    'no categories': (without('categories'), "no list 'categories'"),
    'empty images': (lambda c: c['images'].clear(), "'images' is empty"),
    'empty categories':
    (lambda c: c['categories'].clear(), "'categories' is empty"),
    'annotations no list':
    (lambda c: c.update(annotations={}), "no list 'annotations'"),
    'no object': (lambda c: c['annotations'].insert(2, 7),
                  r'annotations\[2\]: not an object'),
    'a text for an image':
    (lambda c: c['images'].insert(1, 'x'), r'images\[1\]: not an object'),
    'unknown category': (put('annotations', 2, category_id=12),
                         ANN + 'category_id 12 is not among the categories'),
    'unknown image': (put('annotations', 2, image_id=11),
                      ANN + 'image_id 11 is not among the images'),
    'category missing': (put('annotations', 2,
                             category_id=None), ANN + "no 'category_id'"),
    'category a text': (put('annotations', 2, category_id='7'),
                        ANN + "'category_id' is no integer but '7'"),
    'category a float': (put('annotations', 2, category_id=7.5),
                         ANN + "'category_id' is no integer but '7.5'"),
    'image a list': (put('annotations', 2,
                         image_id=[10]), ANN + "'image_id' is no integer"),
    'image endless': (put('annotations', 2,
                          image_id=10**30), ANN + "'image_id' is no integer"),
    'annotation id missing': (put('annotations', 2,
                                  id=None), r"annotations\[2\]: no 'id'"),
    'annotation id twice':
    (put('annotations', 2, id=100), r'annotations\[2\] \(id 100\): another'),
    'image id twice': (put('images', 3,
                           id=10), r'images\[3\] \(id 10\): another'),
    'category id twice': (put('categories', 2,
                              id=7), r'categories\[2\] \(id 7\): another'),
    'category name twice': (put('categories', 2, name='train'),
                            "two categories are called 'train'"),
    'category name empty': (put('categories', 2, name=''),
                            r"categories\[2\] \(id 13\): 'name' is no text"),
    'crowd': (put('annotations', 2, iscrowd=2), ANN + "'iscrowd' is not 0"),
    'area NaN': (put('annotations', 2,
                     area=float('nan')), ANN + "'area' is NaN"),
    'area negative': (put('annotations', 2,
                          area=-1.), ANN + "'area' is negative"),
    'area infinite': (put('annotations', 2, area=float('inf')),
                      ANN + "'area' is negative or infinite"),
    'area endless': (put('annotations', 2, area=10**400),
                     ANN + "'area' is negative or infinite"),
    'area a text': (put('annotations', 2,
                        area='9'), ANN + "'area' is no number but '9'"),
    'area a list': (put('annotations', 2,
                        area=[9]), ANN + r"'area' is no number but '\[9\]'"),
    'file name missing': (put('images', 1, file_name=None),
                          r"images\[1\] \(id 10\): no 'file_name'"),
    'file name escapes': (put('images', 1, file_name='../a.jpg'),
                          r"images\[1\] \(id 10\): file_name .*contains '..'"),
    'file name absolute': (put('images', 1, file_name='/a.jpg'),
                           r'images\[1\] \(id 10\): .*is absolute'),
    'file name twice': (put('images', 3, file_name='a.png'),
                        r'images\[3\] .*the same image id as images\[1\]'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_json(root, name):
    change, message = BAD[name]
    content = instances()
    change(content)
    (root / 'x.json').write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as caught:
        tags(root)
    assert str(caught.value).startswith(f'{root}/x.json: ')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('data, message', [
    (b'{"images": [', r'x.json:1: not JSON'),
    (b'\n\n{]', r'x.json:3: not JSON'),
    (b'[]', 'expected an object'),
    (b'null', 'expected an object'),
    (b'', 'not JSON'),
    (b'\xff\xfe{}', 'not UTF-8'),
    (b'[' * 100000, 'nested too deeply'),
    (b'[' + b'9' * 5000 + b']', 'a number too long'),
])
def test_not_an_instances_json(root, data, message):
    (root / 'x.json').write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        tags(root)
    assert str(caught.value).startswith(f'{root}/x.json:')
    assert '\n' not in str(caught.value)


def test_absent_json_and_wrong_options(root):
    with pytest.raises(InputError, match='y.json: no such annotation file'):
        CocoImageLevel('y.json', data_root=str(root))
    with pytest.raises(InputError, match="crowd='drop' is not one of"):
        tags(root, crowd='drop')
    for value in (-1, float('nan'), float('inf')):
        with pytest.raises(InputError, match='min_area=.* 0 or more'):
            tags(root, min_area=value)
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
    put('images', 1, **{key: value})(content)
    index_instances(content, 'x.json')
    with pytest.raises(InputError, match=r'x.json: images\[1\] \(id 10\): '):
        index_instances(content, 'x.json', masks=True)


def test_names():
    assert len(COCO_CLASSES) == len(set(COCO_CLASSES)) == 80
    assert COCO_CLASSES[0] == 'person' and COCO_CLASSES[79] == 'toothbrush'


def test_names_are_those_of_the_shared_masks(data_root):
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
