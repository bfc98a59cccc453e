# Copyright (c) group_wsss contributors. All rights reserved.
"""Equal content gives equal bytes, whatever the source."""
import argparse
import json
import os

import pytest

from group_wsss.contrib.converters import (ListBuilder, read_folders,
                                           read_table, save)
from group_wsss.datasets import VOC_CLASSES
from group_wsss.structures import read_image_list, write_image_list

EXPECTED = '''{
 "classes": [
  "Ente<&>",
  "cat",
  "dog",
  "potted plant",
  "été"
 ],
 "images": [
  {
   "id": "a",
   "path": "a.jpg",
   "labels": [
    1,
    3
   ]
  },
  {
   "id": "a.b",
   "path": "a.b.jpg",
   "labels": [
    2,
    4
   ]
  },
  {
   "id": "b/c",
   "path": "b/c.jpg",
   "labels": [
    0,
    1,
    2
   ]
  },
  {
   "id": "z 1",
   "path": "z 1.jpg",
   "labels": [
    2
   ]
  },
  {
   "id": "été",
   "path": "été.jpg",
   "labels": [
    4
   ]
  }
 ]
}
'''
NAMES = ('folders', 'csv', 'tsv', 'coco', 'voc_xml', 'npy', 'label_studio',
         'cvat')


def options(out, images=None):
    return argparse.Namespace(
        out=str(out), images=None if images is None else str(images))


@pytest.mark.parametrize('name', NAMES)
def test_bytes(name, formats, content, tmp_path):
    write, read = formats[name]
    if name == 'label_studio':  # its ids have no folder
        content = {
            key: value
            for key, value in content.items() if '/' not in key
        }
        content['c'] = ['cat', 'dog', 'Ente<&>']
    found = read(str(write(tmp_path, content)))
    out = tmp_path / 'list.json'
    write_image_list(out, found.records, found.classes)
    expected = EXPECTED
    if name == 'label_studio':
        # and this one comes at another place
        expected = json.loads(EXPECTED)
        expected['images'][2].update(id='c', path='c.jpg')
        expected = json.dumps(expected, indent=1, ensure_ascii=False) + '\n'
    assert out.read_bytes() == expected.encode()
    again = read_image_list(out)
    assert again.classes == found.classes
    assert [r[:3] for r in again.records] == [r[:3] for r in found.records]


def test_order_of_adding_leaves_no_trace(tmp_path):
    rows = [('b', ['x', 'y']), ('a', ['y']), ('c', [])]
    found = []
    for order in (rows, rows[::-1]):
        builder = ListBuilder('x')
        for img_id, tags in order:
            builder.add('x', img_id, tags)
        found.append(builder.build())
    assert found[0] == found[1]


def test_images_of_the_shared_set(data_root, tmp_path):
    listed = read_image_list(data_root / 'ImageSets/train_voc20_cls.txt',
                             VOC_CLASSES)
    photos = data_root / 'JPEGImages'
    rows = ['tags,id']
    for record in reversed(listed.records):
        tags = [VOC_CLASSES[i] for i in record.labels]
        rows.append(f'{";".join(tags)},{record.img_id}')
        for tag in tags:
            link = tmp_path / 'folders' / tag / f'{record.img_id}.jpg'
            link.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(photos / link.name, link)
    (tmp_path / 'tags.csv').write_text('\n'.join(rows) + '\n')
    folders = read_folders(str(tmp_path / 'folders'), VOC_CLASSES)
    table = read_table(str(tmp_path / 'tags.csv'), VOC_CLASSES)
    assert len(table.records) == len(listed.records) > 200
    assert [r.labels for r in table.records
            ] == [r.labels for r in sorted(listed.records)]
    # paths in the flat folder, and paths in the folder of folders
    for images in (photos, tmp_path / 'folders'):
        written = []
        for name, content in (('a', folders), ('b', table)):
            save(content, options(tmp_path / f'{name}.json', images))
            written.append((tmp_path / f'{name}.json').read_bytes())
        assert written[0] == written[1]
        for record in read_image_list(tmp_path / 'a.json').records:
            assert (images / record.path).is_file()
