# Copyright (c) group_wsss contributors. All rights reserved.
"""Malformed input of every format ends in one line with file and place."""
import json
import os

import pytest

from group_wsss.contrib.converters import (read_cls_labels,
                                           read_coco_instances, read_cvat,
                                           read_folders, read_label_studio,
                                           read_table, read_voc_folder)
from group_wsss.utils.errors import InputError

GOOD = 'id,tags\na,x\n'


def coco(**changes):
    content = dict(
        images=[dict(id=1, file_name='a.jpg'),
                dict(id=2, file_name='b.jpg')],
        annotations=[dict(image_id=1, category_id=3)],
        categories=[dict(id=3, name='x')])
    content.update(changes)
    return json.dumps(content)


def xml(inner):
    return f'<annotation>{inner}</annotation>'


def task(*result, **changes):
    entry = dict(
        data=dict(image='a.jpg'), annotations=[dict(result=list(result))])
    entry.update(changes)
    return json.dumps([dict(image='z.jpg', choice='x'), entry])


def cvat(inner):
    return f'<annotations>\n<image name="z.jpg"/>{inner}</annotations>'


# name: reader, file, content, what the message has after the file
CASES = {
    'csv: empty': (read_table, 'a.csv', '', ': holds no image'),
    'csv: header alone':
    (read_table, 'a.csv', 'id,tags\n', ': holds no image'),
    'csv: no column': (read_table, 'a.csv', 'id,x\n', ":1: .* column 'tags'"),
    'csv: column twice':
    (read_table, 'a.csv', 'id,tags,tags\n', ":1: .*'tags' twice"),
    'csv: columns': (read_table, 'a.csv', GOOD + 'b\n', ':3: 1 columns'),
    'csv: quote': (read_table, 'a.csv', GOOD + 'b,"x\n', ':3: unexpected'),
    'csv: long cell':
    (read_table, 'a.csv', GOOD + f'b,{"x" * 200000}\n', ':3: field larger'),
    'csv: NUL': (read_table, 'a.csv', GOOD + 'b\0,x\n', ':3: contains a NUL'),
    'csv: binary': (read_table, 'a.csv', b'id,tags\n\xff,x\n', ':2: not UTF'),
    'csv: duplicate': (read_table, 'a.csv', GOOD + 'a,x\n', ':3: duplicate'),
    'csv: same but for suffix':
    (read_table, 'a.csv', GOOD + 'a.png,x\n', ':3: duplicate'),
    'csv: dots': (read_table, 'a.csv', GOOD + '../b,x\n', ':3: image id'),
    'csv: absolute': (read_table, 'a.csv', GOOD + '/b,x\n', ':3: image id'),
    'csv: no id': (read_table, 'a.csv', GOOD + ',x\n', ':3: image id'),
    'csv: path': (read_table, 'a.csv', 'id,path,tags\nb,x/../c,x\n',
                  ':2: path'),
    'csv: no tags': (read_table, 'a.csv', 'id,tags\na,\n', ': no image '),
    'csv: control': (read_table, 'a.csv', GOOD + 'b,"y\n\x07"\n',
                     ':4: the tag'),
    'csv: background': (read_table, 'a.csv', GOOD + 'b,background\n',
                        ":3: 'background'"),
    'csv: suffix': (read_table, 'a.xls', GOOD, ': unknown suffix'),
    'coco: syntax': (read_coco_instances, 'a.json', '{\n,', ':2: not JSON'),
    'coco: deep': (read_coco_instances, 'a.json', '[' * 200000, ': not JSON'),
    'coco: number': (read_coco_instances, 'a.json', '9' * 6000,
                     ': (not JSON|expected)'),
    'coco: list': (read_coco_instances, 'a.json', '[]', ': expected an obj'),
    'coco: no images': (read_coco_instances, 'a.json', coco(images={}),
                        ": .* list 'images'"),
    'coco: image': (read_coco_instances, 'a.json', coco(images=[7]),
                    r': images\[0\]'),
    'coco: image twice': (read_coco_instances, 'a.json',
                          coco(images=[dict(id=1, file_name='a.jpg')] * 2),
                          r': images\[1\]: id'),
    'coco: file twice':
    (read_coco_instances, 'a.json',
     coco(
         images=[dict(id=1, file_name='a.jpg'),
                 dict(id=2, file_name='a.jpg')]), r': images\[1\]: duplicate'),
    'coco: no file': (read_coco_instances, 'a.json', coco(images=[dict(id=1)]),
                      r": images\[0\]: 'file_name'"),
    'coco: key': (read_coco_instances, 'a.json',
                  coco(images=[dict(id=[1], file_name='a.jpg')]),
                  r": images\[0\]: 'id'"),
    'coco: unknown image':
    (read_coco_instances, 'a.json',
     coco(annotations=[dict(image_id=9, category_id=3)]),
     r': annotations\[0\]: there is no image'),
    'coco: unknown category':
    (read_coco_instances, 'a.json',
     coco(annotations=[dict(image_id=1, category_id=9)]),
     r': annotations\[0\]: there is no cat'),
    'coco: crowd':
    (read_coco_instances, 'a.json',
     coco(annotations=[dict(image_id=1, category_id=3, iscrowd='no')]),
     r": annotations\[0\]: 'iscrowd'"),
    'coco: name': (read_coco_instances, 'a.json',
                   coco(categories=[dict(id=3)]), r": categories\[0\]: 'nam"),
    'coco: half a pair': (read_coco_instances, 'a.json',
                          coco(categories=[dict(id=3, name='\ud800')]),
                          r': images\[0\]: the tag'),
    'cvat: malformed': (read_cvat, 'a.xml', '<a>\n<b></a>', ':2: malformed'),
    'cvat: empty': (read_cvat, 'a.xml', '', ':1: malformed'),
    'cvat: other root': (read_cvat, 'a.xml', xml(''), ': is no CVAT'),
    'cvat: video': (read_cvat, 'a.xml', cvat('<track id="1"/>'),
                    ".*'CVAT for video'"),
    'cvat: no name': (read_cvat, 'a.xml', cvat('<image/>'),
                      r': image\[1\]: has no name'),
    'cvat: no label': (read_cvat, 'a.xml',
                       cvat('<image name="a.jpg"><tag/></image>'),
                       r': image\[1\]: a tag has no label'),
    'cvat: empty label': (read_cvat, 'a.xml',
                          cvat('<image name="a.jpg"><tag label=""/></image>'),
                          ": no image has a tag; left out 1 '': no tags"),
    'cvat: path': (read_cvat, 'a.xml', cvat('<image name="../a.jpg"/>'),
                   r': image\[1\]: image id'),
    'cvat: entity': (read_cvat, 'a.xml', '<!DOCTYPE a>' + cvat(''),
                     ': declares a document type'),
    'cvat: undefined entity': (read_cvat, 'a.xml', cvat('&a;'),
                               ':2: malformed'),
    'studio: object': (read_label_studio, 'a.json', '{}',
                       ': expected a list of tasks'),
    'studio: task': (read_label_studio, 'a.json', '[1]',
                     r': task\[0\]: expected'),
    'studio: no image': (read_label_studio, 'a.json', task(data=dict(x=1)),
                         r": task\[1\]: has no image under 'image'"),
    'studio: annotations': (read_label_studio, 'a.json', task(annotations=3),
                            r": task\[1\]: 'annotations'"),
    'studio: annotation': (read_label_studio, 'a.json', task(annotations=[3]),
                           r': task\[1\]: an '),
    'studio: result': (read_label_studio, 'a.json', task(3), r': task\[1\]: '),
    'studio: choices': (read_label_studio, 'a.json',
                        task(dict(value=dict(choices=3))),
                        r": task\[1\]: 'choices'"),
    'studio: choice': (read_label_studio, 'a.json',
                       task(dict(value=dict(choices=[3]))),
                       r": task\[1\]: the tag '3' is no text"),
    'studio: folder': (read_label_studio, 'a.json',
                       task(data=dict(image='http://host/x/')),
                       r': task\[1\]: .* names no file'),
    'studio: address': (read_label_studio, 'a.json',
                        task(data=dict(image='http://[x')),
                        r': task\[1\]: .* is no address'),
    'npy: empty': (read_cls_labels, 'a.npy', b'', ': is no .npy'),
    'npy: other': (read_cls_labels, 'a.npy', b'PK\3\4' * 9, ': is no .npy'),
    'npy: cut': (read_cls_labels, 'a.npy',
                 b"\x93NUMPY\1\0\x30\0{'descr': '|O', 'shape': (), }" +
                 b' ' * 15 + b'\x80\4}', ': a damaged pickle'),
}


@pytest.mark.parametrize('name', CASES)
def test_one_line(name, tmp_path):
    reader, file, content, message = CASES[name]
    path = tmp_path / file
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content)
    arguments = (['x', 'y'], ) if reader is read_cls_labels else ()
    with pytest.raises(InputError, match=f'^{path}{message}') as caught:
        reader(str(path), *arguments)
    text = str(caught.value)
    assert '\n' not in text and len(text) < 2 * len(str(path)) + 250


VOC = {
    'malformed': ('<annotation>\n<', ':2: malformed'),
    'root': ('<a/>', ': is no VOC annotation'),
    'no name': (xml('<object/>'), r': object\[0\]: has no name'),
    'difficult':
    (xml('<object><name>x</name></object><object><name>x</name><difficult>2'
         '</difficult></object>'), r": object\[1\]: 'difficult' is '2'"),
    'entity': (f'<!DOCTYPE a>{xml("")}', ': declares a document type'),
    'binary': (b'\xff\xfe<', ':1: not UTF-8'),
}


@pytest.mark.parametrize('name', VOC)
def test_voc_annotations(name, tmp_path):
    content, message = VOC[name]
    if isinstance(content, str):
        content = content.encode()
    (tmp_path / 'a.xml').write_text(xml('<object><name>x</name></object>'))
    (tmp_path / 'b.xml').write_bytes(content)
    with pytest.raises(InputError, match=f'^{tmp_path}/b.xml{message}'):
        read_voc_folder(str(tmp_path))


FOLDERS = {
    'nothing': ([], ': holds no image'),
    'loose image': (['a/1.jpg', '2.jpg'], ': 2.jpg: lies in no class'),
    'empty folder': (['a/1.jpg', 'b/'], ": 'b' holds no image"),
    'two suffixes': (['a/1.jpg', 'a/1.png'], ': a/1.png: a/1.jpg has the'),
    'background': (['background/1.jpg'], ": .*'background'"),
    'blank': ([' /1.jpg'], ": no image has a tag; left out 1 ' '"),
    'parts': (['train/1.jpg', 'VAL/2.jpg'], ': VAL, train are parts of'),
    'level': (['train/a/1.jpg', 'b/a/2.jpg'], ': b, train are parts of'),
    'unread': (['a/1.jpg', 'b/1.heic', 'b/2.GIF'],
               ": 'b' .* read .1 .gif, 1 .heic."),
    'control': (['a\x07/1.jpg'], ': the name .* control character'),
}


@pytest.mark.parametrize('name', FOLDERS)
def test_folders(name, tmp_path):
    names, message = FOLDERS[name]
    for entry in names:
        path = tmp_path / entry
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if entry.endswith('/') else path.write_bytes(b'')
    with pytest.raises(InputError, match=f'^{tmp_path}{message}') as caught:
        read_folders(str(tmp_path))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'reader', [read_table, read_coco_instances, read_cvat, read_label_studio])
def test_files_that_cannot_be_read(reader, tmp_path):
    with pytest.raises(InputError, match='none.csv: cannot be read: No such'):
        reader(str(tmp_path / 'none.csv'))
    os.mkdir(tmp_path / 'dir.csv')
    with pytest.raises(InputError, match='dir.csv: cannot be read: Is a dir'):
        reader(str(tmp_path / 'dir.csv'))


@pytest.mark.parametrize('classes, message', [
    (['x', 'z'], ":2: 'y' is not among the classes"),
    (['x', 'y', 'x'], 'a name is there twice'),
    (['x', ''], 'a tag is empty'),
    (['background', 'x'], "'background' is the name"),
])
def test_classes(classes, message, tmp_path):
    (tmp_path / 'a.csv').write_text('id,tags\na,x;y\n')
    with pytest.raises(InputError, match=message):
        read_table(str(tmp_path / 'a.csv'), classes)
