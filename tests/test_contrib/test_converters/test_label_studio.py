# Copyright (c) group_wsss contributors. All rights reserved.
import json

import pytest

from group_wsss.contrib.converters import read_label_studio


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
