# Copyright (c) group_wsss contributors. All rights reserved.
"""Equal content gives equal bytes, whatever the source."""
import argparse
import json
import os
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pytest

from group_wsss.contrib.converters import (ListBuilder, read_cls_labels,
                                           read_coco_instances, read_cvat,
                                           read_folders, read_label_studio,
                                           read_table, read_voc_folder, save)
from group_wsss.structures import read_image_list

CONTENT = {
    'z 1': ['dog'],
    'a': ['potted plant', 'cat'],
    'b/c': ['cat', 'dog', 'Ente<&>'],
    'été': ['été'],
    'a.b': ['dog', 'été'],
}
NAMES = ['Ente<&>', 'cat', 'dog', 'potted plant', 'été']


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding='utf-8')
    return str(path)


def folders(folder):
    """Links to the images, one folder per class."""
    for name, tags in CONTENT.items():
        put(folder / f'pool/{name}.jpg', name)
        for tag in tags:
            link = folder / 'classes' / tag / f'{name}.jpg'
            link.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(folder / f'pool/{name}.jpg', link)
    return read_folders(str(folder / 'classes'))


def csv(folder):
    rows = [f'"{";".join(tags)}",{name},"1,5"'
            for name, tags in CONTENT.items()]  # yapf: disable
    return read_table(
        put(folder / 'a.csv', '\n'.join(['tags,id,other', *rows])))


def tsv(folder):
    rows = [f'{name}.jpg\t{" ; ".join(reversed(tags))}'
            for name, tags in reversed(CONTENT.items())]  # yapf: disable
    return read_table(
        put(folder / 'a.tsv', '\ufeff' + '\r\n'.join(['id\ttags', *rows])))


def coco(folder):
    names = [*NAMES[::-1], 'nobody']
    content = dict(
        images=[
            dict(id=5 * i, file_name=f'{name}.jpg')
            for i, name in enumerate(CONTENT)
        ],
        annotations=[
            dict(image_id=5 * i, category_id=names.index(tag) + 7, iscrowd=0)
            for i, tags in enumerate(CONTENT.values()) for tag in tags * 2
        ],
        categories=[dict(id=i + 7, name=name) for i, name in enumerate(names)])
    return read_coco_instances(put(folder / 'a.json', json.dumps(content)))


def voc_xml(folder):
    for name, tags in CONTENT.items():
        objects = ''.join(f'<object><name>{escape(tag)}</name></object>'
                          for tag in tags)
        put(folder / f'xml/{name}.xml', '<annotation><filename>x.jpg'
            f'</filename>{objects}</annotation>')
    return read_voc_folder(str(folder / 'xml'))


def npy(folder):
    labels = {
        name: np.array([float(one in tags) for one in NAMES], 'f4')
        for name, tags in CONTENT.items()
    }
    np.save(folder / 'cls_labels.npy', labels)
    return read_cls_labels(str(folder / 'cls_labels.npy'), NAMES)


def label_studio(folder):
    """Skipped annotations, predictions and relations do not count."""
    return read_label_studio(
        put(
            folder / 'full.json',
            json.dumps([
                dict(
                    data=dict(image=f'/data/local-files/?d=x/{name}.jpg'),
                    predictions=[
                        dict(result=[dict(value=dict(choices=['guess']))])
                    ],
                    annotations=[
                        dict(
                            was_cancelled=True,
                            result=[dict(value=dict(choices=['skipped']))]),
                        dict(result=[
                            dict(type='choices', value=dict(choices=tags)),
                            dict(type='relation', direction='right')
                        ])
                    ]) for name, tags in CONTENT.items()
            ])))


def cvat(folder):
    images = ''.join(
        f'<image name={quoteattr(name + ".jpg")} width="9">' +
        ''.join(f'<tag label={quoteattr(tag)} source="manual"></tag>'
                for tag in tags) + '<box label="a box"/></image>\n'
        for name, tags in CONTENT.items())
    return read_cvat(
        put(
            folder / 'annotations.xml',
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>'
            f'<version>1.1</version><meta/>{images}</annotations>'))


def written(content, folder, images=None):
    out = folder / 'list.json'
    save(content, argparse.Namespace(out=str(out), images=images))
    return out.read_bytes()


@pytest.mark.parametrize(
    'read', [folders, csv, tsv, coco, voc_xml, npy, label_studio, cvat])
def test_bytes(read, tmp_path):
    ids = {name: name for name in CONTENT}
    if read is label_studio:  # its ids have no folder
        ids['b/c'] = 'c'
    images = [
        dict(
            id=ids[name],
            path=f'{ids[name]}.jpg',
            labels=sorted(map(NAMES.index, tags)))
        for name, tags in CONTENT.items()
    ]
    images.sort(key=lambda image: image['id'])
    expected = json.dumps(
        dict(classes=NAMES, images=images), indent=1, ensure_ascii=False)
    found = read(tmp_path)
    place = str(tmp_path / 'pool') if read is folders else None
    assert written(found, tmp_path, place) == f'{expected}\n'.encode()
    again = read_image_list(tmp_path / 'list.json')
    assert again.classes == found.classes


def test_order_of_adding_leaves_no_trace():
    rows = [('b', ['x', 'y']), ('a', ['y']), ('c', [])]
    found = []
    for order in (rows, rows[::-1]):
        builder = ListBuilder('x')
        for img_id, tags in order:
            builder.add('x', img_id, tags)
        found.append(builder.build())
    assert found[0] == found[1]
