# Copyright (c) group_wsss contributors. All rights reserved.
"""Exports of Label Studio, CVAT and COCO."""
import json

import pytest

from group_wsss.contrib.converters import (read_coco_instances, read_cvat,
                                           read_label_studio)


def put(folder, tasks):
    (folder / 'a.json').write_text(json.dumps(tasks))
    return str(folder / 'a.json')


def rows(content):
    return [(r.img_id, r.path, [content.classes[i] for i in r.labels])
            for r in content.records]


def result(**value):
    return dict(from_name='x', to_name='image', value=value)


def test_annotators_together_and_regions(tmp_path):
    path = put(tmp_path, [
        dict(
            data=dict(photo='https://h/x/a%20b.png?sign=1', image=3),
            annotations=[
                dict(result=[result(choices=['cat'])]),
                dict(result=[
                    result(choices=['dog', 'cat']),
                    result(rectanglelabels=['box'], x=1)
                ])
            ]),
        dict(data=dict(photo='s3://bucket/c.jpg'), annotations=[])
    ])
    found = read_label_studio(path, image_key='photo')
    assert rows(found) == [('a b', 'a b.png', ['cat', 'dog']),
                           ('c', 'c.jpg', [])]
    found = read_label_studio(path, image_key='photo', regions=True)
    assert rows(found)[0][2] == ['box', 'cat', 'dog']


def test_minimal_export(tmp_path):
    path = put(tmp_path, [
        dict(
            image='/data/upload/1/0a1b2c3d-a.jpg',
            id=1,
            annotator=1,
            note='no tag',
            choice='cat',
            label=[dict(x=1, rectanglelabels=['box'])]),
        dict(
            image='/data/upload/1/b.jpg',
            sky=dict(choices=['blue', 'grey']),
            choice=None)
    ])
    found = read_label_studio(path)
    assert rows(found) == [('0a1b2c3d-a', '0a1b2c3d-a.jpg', ['cat']),
                           ('b', 'b.jpg', ['blue', 'grey'])]
    found = read_label_studio(path, regions=True, strip_upload=True)
    assert rows(found)[0] == ('a', 'a.jpg', ['box', 'cat'])
    found = read_label_studio(path, choice_key='note')
    assert rows(found)[0][2] == ['no tag']


@pytest.mark.parametrize('address, name', [
    ('/data/local-files/?d=set%20one/a.jpg', 'a.jpg'),
    ('C:\\photos\\a.jpg', 'a.jpg'),
    ('a.jpg', 'a.jpg'),
    ('gs://b/%C3%A9.jpg', 'é.jpg'),
    ('/data/upload/1/a+b #1.jpg', 'a+b #1.jpg'),
    ('/data/local-files/?d=100%2525%2B%231.jpg', '100%25+#1.jpg'),
])
def test_addresses(address, name, tmp_path):
    path = put(tmp_path, [dict(image=address, choice='x')])
    assert read_label_studio(path).records[0].path == name


CVAT = '''<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><labels><label><name>unused</name></label></labels></task></meta>
<image id="1" name="sub/b.png"><tag label="wet" source="manual"></tag>
<box label="cat" xtl="1"/><mask label="dog" rle="1, 2"/><other/>
</image>
<image id="0" name="a.jpg"><skeleton label="man"><points label="hand"/>
</skeleton></image>
</annotations>'''


def test_cvat_tags_and_shapes(tmp_path):
    (tmp_path / 'a.xml').write_text(CVAT)
    found = read_cvat(str(tmp_path / 'a.xml'))
    assert found.classes == ('wet', )
    assert [r[:3] for r in found.records] == [('a', (), 'a.jpg'),
                                              ('sub/b', (0, ), 'sub/b.png')]
    found = read_cvat(str(tmp_path / 'a.xml'), shapes=True)
    # parts of a skeleton are no things of their own
    assert found.classes == ('cat', 'dog', 'man', 'wet')
    assert [r.labels for r in found.records] == [(2, ), (0, 1, 3)]


def test_coco_crowds_and_empty_images(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(
        json.dumps(
            dict(
                images=[
                    dict(id='7', file_name='train/b.png'),
                    dict(id=7, file_name='a.jpg')
                ],
                annotations=[
                    dict(image_id='7', category_id=1, iscrowd=1),
                    dict(image_id='7', category_id=2)
                ],
                categories=[dict(id=1, name='x'),
                            dict(id=2, name='y')])))
    found = read_coco_instances(str(path))
    assert found.classes == ('x', 'y')
    assert [r[:3]
            for r in found.records] == [('a', (), 'a.jpg'),
                                        ('train/b', (0, 1), 'train/b.png')]
    found = read_coco_instances(str(path), skip_crowd=True)
    assert found.classes == ('y', )
    assert [r.labels for r in found.records] == [(), (0, )]
