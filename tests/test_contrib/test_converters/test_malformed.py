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
IMAGES = [dict(id=1, file_name='a.jpg'), dict(id=2, file_name='b.jpg')]


def coco(**changes):
    annotation = dict(image_id=1, category_id=3)
    annotation.update(changes.pop('annotation', {}))
    content = dict(
        images=IMAGES,
        annotations=[annotation],
        categories=[dict(id=3, name='x')])
    return json.dumps(dict(content, **changes))


def xml(inner):
    return f'<annotation>{inner}</annotation>'


def task(*result, **changes):
    entry = dict(
        data=dict(image='a.jpg'), annotations=[dict(result=list(result))])
    entry.update(changes)
    return json.dumps([dict(image='z.jpg', choice='x'), entry])


def cvat(inner):
    return f'<annotations>\n<image name="z.jpg"/>{inner}</annotations>'


# content, and what the message has after the file
CSV = [
    ('', ': holds no image'),
    ('id,tags\n', ': holds no image'),
    ('id,x\n', ":1: .* column 'tags'"),
    (f'id,{"x" * 200000}\n', ':1: field larger'),
    ('id,tags,tags\n', ":1: .*'tags' twice"),
    (GOOD + 'b\n', ':3: 1 columns'),
    (GOOD + 'b,"x\n', ':3: unexpected'),
    (GOOD + f'b,{"x" * 200000}\n', ':3: field larger'),
    (GOOD + 'b\0,x\n', ':3: contains a NUL'),
    (b'id,tags\n\xff,x\n', ':2: not UTF'),
    (GOOD + 'a,x\n', ':3: duplicate'),
    (GOOD + 'a.png,x\n', ':3: duplicate'),
    (GOOD + '../b,x\n', ':3: image id'),
    (GOOD + ',x\n', ':3: image id'),
    ('id,path,tags\nb,x/../c,x\n', ':2: path'),
    ('id,tags\na,\n', ': no image '),
    (GOOD + 'b,"y\n\x07"\n', ':4: the tag'),
    (GOOD + 'b,background\n', ":3: 'background'"),
]
COCO = [
    ('{\n,', ':2: not JSON'),
    ('[' * 200000, ': JSON that is nested too deeply'),
    ('9' * 6000, ': (JSON that|expected)'),
    ('[]', ': expected an obj'),
    (coco(images={}), ": no list 'images'"),
    (coco(images=[7]), r': images\[0\]: not an object'),
    (coco(images=IMAGES[:1] * 2), r": images\[1\] .id 1.: id '1' is that of"),
    (coco(images=[IMAGES[0], dict(id=2, file_name='a.jpg')]),
     r': images\[1\] .id 2.: duplicate'),
    (coco(images=[dict(id=1)]), r": images\[0\] .id 1.: no 'file_name'"),
    (coco(images=[dict(id=[1], file_name='a')]), r": images\[0\]: 'id' is no"),
    (coco(images=[dict(id=True, file_name='a')]),
     r": images\[0\]: 'id' is no whole number or text but 'True'"),
    (coco(annotation=dict(image_id=9)),
     r': annotations\[0\]: image_id 9 is not among the images'),
    (coco(annotation=dict(category_id='9\n')),
     r": annotations\[0\]: category_id '9\\n' is not among the categories"),
    (coco(annotation=dict(iscrowd='no')), r": annotations\[0\]: 'iscrowd'"),
    (coco(annotation=dict(iscrowd=2)), r": annotations\[0\]: 'iscrowd'"),
    (coco(categories=[dict(id=3)]), r": categories\[0\] .id 3.: no 'name'"),
    (coco(categories=[dict(id=3, name='\ud800')]),
     r': images\[0\] .id 1.: the tag'),
]
CVAT = [
    ('<a>\n<b></a>', ': malformed XML: .*line 2'),
    ('', ': malformed XML'),
    (xml(''), ': is no CVAT'),
    (cvat('<track id="1"/>'), ".*'CVAT for video'"),
    (cvat('<image/>'), r': image\[1\]: has no name'),
    (cvat('<image name="a"><tag/></image>'),
     r': image\[1\]: a tag has no label'),
    (cvat('<image name="a"><tag label=""/></image>'),
     ": no image has a tag; left out 1 '': no tags"),
    (cvat('<image name="../a.jpg"/>'), r': image\[1\]: image id'),
    ('<!DOCTYPE a>' + cvat(''), ': declares a document type'),
    (cvat('&a;'), ': malformed XML: undefined entity'),
]
STUDIO = [
    ('{}', ': expected a list of tasks'),
    ('[1]', r': task\[0\]: expected'),
    (task(data=dict(x=1)), r": task\[1\]: has no image under 'image'"),
    (task(annotations=3), r": task\[1\]: 'annotations'"),
    (task(annotations=[3]), r': task\[1\]: an '),
    (task(annotations=[dict(result=3)]), r": task\[1\]: 'result' must be"),
    (task(3), r': task\[1\]: a result is no object'),
    (task(dict(value=dict(choices=3))), r": task\[1\]: 'choices'"),
    (task(dict(value=dict(choices=[3]))),
     r": task\[1\]: the tag '3' is no text"),
    (task(data=dict(image='http://host/x/')),
     r': task\[1\]: .* names no file'),
    (task(data=dict(image='http://[x')), r': task\[1\]: .* is no address'),
]
NPY = [
    (b'', ': is no .npy'),
    (b'PK\3\4' * 9, ': is no .npy'),
    (b"\x93NUMPY\1\0\x30\0{'descr': '|O', 'shape': (), }" + b' ' * 15 +
     b'\x80\4}', ': a damaged pickle'),
]
OBJECT = '<object><name>x</name></object>'
VOC = [
    ('<annotation>\n<', ': malformed XML: .*line 2'),
    ('<a/>', ': is no VOC annotation'),
    (xml('<object/>'), r': object\[0\]: has no name'),
    (xml(OBJECT + OBJECT.replace('</o', '<difficult>2</difficult></o')),
     r": object\[1\]: 'difficult' is '2'"),
    (f'<!DOCTYPE a>{xml("")}', ': declares a document type'),
    ('<annotation>\n\0', ':2: contains a NUL character'),
    (b'\xff\xfe<', ':1: not UTF-8'),
]
CASES = [(read, file, *case)
         for read, file, cases in ((read_table, 'a.csv',
                                    CSV), (read_table, 'a.xls',
                                           [(GOOD, ': unknown suffix')]),
                                   (read_coco_instances, 'a.json',
                                    COCO), (read_cvat, 'a.xml', CVAT),
                                   (read_label_studio, 'a.json',
                                    STUDIO), (read_cls_labels, 'a.npy', NPY),
                                   (read_voc_folder, 'x/a.xml', VOC))
         for case in cases]


@pytest.mark.parametrize('reader, file, content, message', CASES)
def test_one_line(reader, file, content, message, tmp_path):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode())
    arguments = (['x', 'y'], ) if reader is read_cls_labels else ()
    source = path.parent if reader is read_voc_folder else path
    with pytest.raises(InputError, match=f'^{path}{message}') as caught:
        reader(str(source), *arguments)
    text = str(caught.value)
    assert '\n' not in text and len(text) < 2 * len(str(path)) + 250


@pytest.mark.parametrize('names, message', [
    ([], ': holds no image'),
    (['a/1.jpg', '2.jpg'], ': 2.jpg: lies in no class'),
    (['a/1.jpg', 'b/'], r": 'b' holds no image that can be read \(nothing\)"),
    (['a/1.jpg', 'a/1.png'], ': a/1.png: a/1.jpg has the'),
    (['background/1.jpg'], ": .*'background'"),
    ([' /1.jpg'], ": no image has a tag; left out 1 ' '"),
    (['train/1.jpg', 'VAL/2.jpg'], ': VAL, train are parts of'),
    (['train/a/1.jpg', 'b/a/2.jpg'], ': b, train are parts of'),
    (['a/1.jpg', 'b/1.heic', 'b/2.GIF'], ": 'b' .* read .1 .gif, 1 .heic."),
    (['a\x07/1.jpg'], ': the name .* control character'),
])
def test_folders(names, message, tmp_path):
    for entry in names:
        path = tmp_path / entry
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if entry.endswith('/') else path.write_bytes(b'')
    with pytest.raises(InputError, match=f'^{tmp_path}{message}') as caught:
        read_folders(str(tmp_path))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('reader', [read_table, read_cvat])
def test_files_that_cannot_be_read(reader, tmp_path):
    with pytest.raises(InputError, match='none.csv: .*[Nn]o such file'):
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
