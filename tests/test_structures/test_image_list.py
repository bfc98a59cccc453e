# Copyright (c) group_wsss contributors. All rights reserved.
import json
import os
from pathlib import Path

import pytest

from group_wsss.structures import (ImageRecord, read_image_list,
                                   write_image_list)
from group_wsss.utils.errors import InputError

VOC_LIST = (
    Path(__file__).parents[2] / '..' / 'shared/data/'
    'voc2012_train_aug_cls.txt')


def put(folder, name, content):
    path = folder / name
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode())
    return path


def triples(content):
    return [(r.img_id, r.labels, r.path) for r in content.records]


@pytest.mark.parametrize('name, content, expected', [
    ('a.txt', '\ufeffb/x 2 0 2 \r\n\na\nc 01\nd cow cat\n',
     [('b/x', (0, 2), None), ('a', (), None), ('c', (1, ), None),
      ('d', (0, 2), None)]),
    ('a.csv', 'labels,id,path\ndining table;cat,a,"s/a,b.png"\n'
     'dining table,b,\n1 2,c,c.jpg\n',
     [('a', (0, 1), 's/a,b.png'), ('b', (1, ), None), ('c', (1, 2), 'c.jpg')]),
])  # yapf: disable
def test_ids_names_and_paths(tmp_path, name, content, expected):
    path = put(tmp_path, name, content)
    found = read_image_list(path, classes=('cat', 'dining table', 'cow'))
    assert triples(found) == expected


def test_json_and_its_classes(tmp_path):
    content = dict(
        classes=['cat', '7'],
        images=[
            dict(id='a', labels=[1, 0]),
            dict(id='b', labels=['7'], path='x/b.png'),
            dict(id='c')
        ])
    path = put(tmp_path, 'a.json', json.dumps(content))
    found = read_image_list(path)
    assert found.classes == ('cat', '7')
    assert triples(found) == [('a', (0, 1), None), ('b', (1, ), 'x/b.png'),
                              ('c', (), None)]
    with pytest.raises(InputError, match='a.json differ from .*metainfo.cl'):
        read_image_list(path, classes=('dog', '7'))


def test_round_trip(tmp_path):
    records = [
        ImageRecord('é/ü', (1, 3), None),
        ImageRecord('b', (), 'deep/b.png')
    ]
    path = tmp_path / 'new' / 'list.json'
    write_image_list(path, records, list('abcd'))
    found = read_image_list(path)
    assert triples(found) == [r[:3] for r in records]
    assert found.classes == tuple('abcd')
    assert os.listdir(path.parent) == ['list.json'], 'no part file is left'


@pytest.mark.parametrize(
    'records', [[], [ImageRecord('../a')], [ImageRecord('a', (9, ))],
                [ImageRecord('a'), ImageRecord('a')]])
def test_writer_refuses_what_cannot_be_read(tmp_path, records):
    with pytest.raises(InputError):
        write_image_list(tmp_path / 'a.json', records, ['x'])
    assert not list(tmp_path.iterdir())


GOOD = 'a 0\n'
MALFORMED = {
    'id with ..': ('a.txt', GOOD + '../b 1\n', ':2:'),
    'backslash': ('a.txt', 'a\\b 1\n', 'backslash'),
    'NUL': ('a.txt', 'a\0b 1\n', ':1:'),
    'out of range': ('a.txt', GOOD + 'b 3\n', ':2: class id 3 is out of'),
    'negative': ('a.txt', 'b -1\n', ':1:'),
    'huge': ('a.txt', f'b {"9" * 6000}\n', ':1:'),
    'duplicate': ('a.txt', GOOD + 'b\na 1\n', ':3: duplicate .*:1'),
    'word': ('a.txt', GOOD + 'b bird\n', ":2: 'bird' is neither"),
    'mixed': ('a.txt', 'b cat 1\n', ':1:'),
    'comma': ('a.txt', 'b,1\n', ':1: .*names with commas need .json'),
    'json as txt': ('a.txt', '{"images": []}', ':1: looks like JSON'),
    'mmseg list': ('a.txt', 'JPEG/a.jpg Seg/a.png\n', ':1:'),
    'empty': ('a.txt', '', 'the image list is empty'),
    'blank': ('a.txt', '\n \n', 'the image list is empty'),
    'binary': ('a.txt', b'a 0\n\xff\xfe\n', ':2: not UTF-8'),
    'suffix': ('a.npy', b'x', 'unknown list format'),
    'csv header': ('a.csv', 'a,0\n', ':1: the header'),
    'csv unknown': ('a.csv', 'id,labels,extra\na,0,1\n', ':1: the header'),
    'csv columns': ('a.csv', 'id,labels\na,0\nb,0,1\n', ':3: 3 columns'),
    'csv quote': ('a.csv', 'id,labels\na,"0\n', ':2:'),
    'csv NUL': ('a.csv', 'id,labels\na\0,0\n', ':2:'),
    'csv empty': ('a.csv', 'id,labels\n', 'the image list is empty'),
    'csv no id': ('a.csv', 'id,labels\n,0\n', ":2: image id '' is empty"),
    'csv path': ('a.csv', 'id,path,labels\na,../b.jpg,0\n', ':2: path'),
    'json syntax': ('a.json', '{"images":\n[,]}', ':2: not JSON'),
    'json deep': ('a.json', '[' * 200000, 'JSON'),
    'json list': ('a.json', '[]', "list 'images'"),
    'json entry': ('a.json', '{"images": [{"id": "a"}, 3]}', r'images\[1\]'),
    'json id': ('a.json', '{"images": [{"id": 3}]}',
                r"images\[0\]: 'id' must be a string, not 3"),
    'json no id': ('a.json', '{"images": [{}]}', "'id' .* not null"),
    'json path': ('a.json', '{"images": [{"id": "a", "path": [1]}]}',
                  r"'path' must be a string, not \[1\]"),
    'csv comma': ('a.csv', 'id,labels\na,"cat, dog"\n',
                  "'cat,' is neither .*';' separates names"),
    'json bool':
    ('a.json', '{"images": [{"id": "a", "labels": [true]}]}', r'images\[0\]'),
    'json key':
    ('a.json', '{"images": [{"id": "a", "label": [1]}]}', 'unknown key'),
    'json range': ('a.json', '{"images": [{"id": "a", "labels": [3]}]}',
                   r'images\[0\]: class id 3'),
    'json surrogate': ('a.json', '{"images": [{"id": "\\ud800"}]}', 'Unicode'),
    'json empty': ('a.json', '{"images": []}', 'the image list is empty'),
    'json classes': ('a.json', '{"classes": "ab", "images": []}', 'classes'),
}


@pytest.mark.parametrize('name', MALFORMED)
def test_malformed(tmp_path, name):
    file, content, message = MALFORMED[name]
    path = put(tmp_path, file, content)
    with pytest.raises(InputError, match=message) as caught:
        read_image_list(path, classes=('cat', 'dog', 'cow'))
    text = str(caught.value)
    assert text.startswith(str(path)) and '\n' not in text
    assert len(text) < len(str(path)) * 2 + 250


def test_missing_and_folder(tmp_path):
    with pytest.raises(InputError, match='no such image list'):
        read_image_list(tmp_path / 'none.txt')
    (tmp_path / 'dir.txt').mkdir()
    with pytest.raises(InputError, match='cannot be read'):
        read_image_list(tmp_path / 'dir.txt')


@pytest.mark.skipif(not VOC_LIST.exists(), reason='no shared VOC list')
def test_released_label_file():
    found = read_image_list(VOC_LIST, num_classes=20)
    assert len(found.records) == 10582
    assert found.records[0][:2] == ('2007_000032', (0, 14))
    assert sum(len(r.labels) == 1 for r in found.records) == 6746
    with pytest.raises(InputError, match='out of range'):
        read_image_list(VOC_LIST, num_classes=19)
