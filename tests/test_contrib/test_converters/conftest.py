# Copyright (c) group_wsss contributors. All rights reserved.
"""The same images and tags in every format."""
import json
import os
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pytest

from group_wsss.contrib.converters import (find_images, read_cls_labels,
                                           read_coco_instances, read_cvat,
                                           read_folders, read_label_studio,
                                           read_table, read_voc_folder)

CONTENT = {
    'z 1': ['dog'],
    'a': ['potted plant', 'cat'],
    'b/c': ['cat', 'dog', 'Ente<&>'],
    'été': ['été'],
    'a.b': ['dog', 'été'],
}


def photo(folder, img_id):
    """A file that is an image by its name."""
    path = folder / f'{img_id}.jpg'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'image ' + img_id.encode())


def flat(folder, content=CONTENT):
    """The images without any tag."""
    for img_id in content:
        photo(folder, img_id)
    return folder


def write_folders(folder, content=CONTENT):
    """Links to the images, one folder per class."""
    pool = flat(folder / 'pool', content)
    for img_id, tags in content.items():
        for tag in tags:
            link = folder / 'classes' / tag / f'{img_id}.jpg'
            link.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(pool / f'{img_id}.jpg', link)
    return folder / 'classes'


def write_csv(folder, content=CONTENT):
    rows = ['tags,id,other'] + [
        f'"{";".join(tags)}",{img_id},"1,5"'
        for img_id, tags in content.items()
    ]
    path = folder / 'a.csv'
    path.write_text('\n'.join(rows) + '\n', encoding='utf-8')
    return path


def write_tsv(folder, content=CONTENT):
    rows = ['id\ttags'] + [
        f'{img_id}.jpg\t{" ; ".join(reversed(tags))}'
        for img_id, tags in reversed(list(content.items()))
    ]
    path = folder / 'a.tsv'
    path.write_text('\r\n'.join(rows), encoding='utf-8-sig')
    return path


def write_coco(folder, content=CONTENT):
    names = sorted({tag for tags in content.values() for tag in tags})
    names = names[::-1] + ['nobody']
    path = folder / 'instances.json'
    path.write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=5 * i, file_name=f'{img_id}.jpg')
                    for i, img_id in enumerate(content)
                ],
                annotations=[
                    dict(
                        image_id=5 * i,
                        category_id=names.index(tag) + 7,
                        iscrowd=0) for i, tags in enumerate(content.values())
                    for tag in tags * 2
                ],
                categories=[
                    dict(id=i + 7, name=name) for i, name in enumerate(names)
                ])))
    return path


def write_voc(folder, content=CONTENT):
    for img_id, tags in content.items():
        path = folder / 'Annotations' / f'{img_id}.xml'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            '<annotation><filename>x.jpg</filename>' +
            ''.join(f'<object><name>{escape(tag)}</name>'
                    '<difficult>0</difficult></object>'
                    for tag in tags) + '</annotation>',
            encoding='utf-8')
    return folder / 'Annotations'


def names_of(content):
    return sorted({tag for tags in content.values() for tag in tags})


def write_npy(folder, content=CONTENT):
    names = names_of(content)
    labels = {
        img_id: np.array([float(name in tags) for name in names], 'f4')
        for img_id, tags in content.items()
    }
    np.save(folder / 'cls_labels.npy', labels)
    return folder / 'cls_labels.npy'


def write_label_studio(folder, content=CONTENT):
    path = folder / 'full.json'
    path.write_text(
        json.dumps([
            dict(
                id=i,
                data=dict(image=f'/data/local-files/?d=x/{img_id}.jpg'),
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
                ]) for i, (img_id, tags) in enumerate(content.items())
        ]))
    return path


def write_cvat(folder, content=CONTENT):
    path = folder / 'annotations.xml'
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>'
        '<version>1.1</version><meta/>' + ''.join(
            f'<image id="{i}" name={quoteattr(img_id + ".jpg")} width="9">' +
            ''.join(f'<tag label={quoteattr(tag)} source="manual"></tag>'
                    for tag in tags) + '<box label="a box"/></image>\n'
            for i, (img_id, tags) in enumerate(content.items())) +
        '</annotations>',
        encoding='utf-8')
    return path


# name: how it is written, how it is read
FORMATS = {
    'folders':
    (write_folders,
     lambda path: find_images(read_folders(path), f'{path}/../pool')),
    'csv': (write_csv, read_table),
    'tsv': (write_tsv, read_table),
    'coco': (write_coco, read_coco_instances),
    'voc_xml': (write_voc, read_voc_folder),
    'npy': (write_npy, lambda path: read_cls_labels(path, names_of(CONTENT))),
    'label_studio': (write_label_studio, read_label_studio),
    'cvat': (write_cvat, read_cvat),
}


@pytest.fixture
def formats():
    """All formats: ``dict(name=(write, read))``."""
    return FORMATS


@pytest.fixture
def content():
    """Image id to tags, in no order."""
    return CONTENT
