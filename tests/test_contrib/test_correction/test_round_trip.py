# Copyright (c) group_wsss contributors. All rights reserved.
"""Labels to Label Studio and CVAT, corrected, and back."""
import json

import numpy as np
import pytest
from PIL import Image

from group_wsss.contrib.exporters import export_cvat_masks
from group_wsss.contrib.foreign import CvatSource, LabelStudioSource
from group_wsss.structures import Dump
from group_wsss.structures.brush_rle import decode_brush, encode_brush
from group_wsss.structures.dump_writer import DumpWriter
from group_wsss.structures.palette import bright_palette
from group_wsss.utils.errors import InputError

IDS = ('a', 'b c', 'd/e#1')
CLASSES = ('cat', 'hot dog')


@pytest.fixture
def dump(tmp_path):
    """Labels with holes, an empty one, and unknown pixels."""
    folder = tmp_path / 'dump'
    writer = DumpWriter(str(folder), CLASSES)
    rng = np.random.default_rng(0)
    for name, values in zip(IDS, ([0, 1, 2], [0], [0, 2, 255])):
        writer.write(name, rng.choice(values, (37, 53)).astype(np.uint8))
    writer.finish(image_paths={name: f'{name}.jpg' for name in IDS})
    images = [dict(id=name, path=f'{name}.jpg', labels=[0, 1]) for name in IDS]
    (tmp_path / 'labels.json').write_text(
        json.dumps(dict(classes=CLASSES, images=images)))
    return folder


def labels_of(folder):
    dump = Dump.open(str(folder))
    return {name: dump.read_label(name) for name in dump.ids}


def without_unknown(labels):
    return {name: np.where(x == 255, 0, x) for name, x in labels.items()}


def same(first, second):
    assert list(first) == list(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def bring_in(call_tool, tmp_path, source, kind):
    call_tool('import_masks', source, '--format', kind, '--image-list',
              tmp_path / 'labels.json', '--out', tmp_path / 'back')
    manifest = Dump.open(str(tmp_path / 'back')).manifest
    assert manifest.supervision == ['I', 'M']
    return labels_of(tmp_path / 'back')


def test_cvat(dump, tmp_path, call_tool, capsys):
    out = tmp_path / 'cvat'
    call_tool('export_labels', dump, out, '--format', 'cvat-masks')
    labels = without_unknown(labels_of(dump))
    same(bring_in(call_tool, tmp_path, out, 'cvat'), labels)
    names = (out / 'ImageSets/Segmentation/default.txt').read_text()
    assert names.splitlines() == sorted(IDS)
    # somebody paints
    path = out / 'SegmentationClass' / 'b c.png'
    rgb = np.array(Image.open(path))
    assert rgb.shape == (37, 53, 3)
    rgb[3:9, 4:7] = bright_palette()[2]
    Image.fromarray(rgb).save(path)
    labels['b c'][3:9, 4:7] = 2
    same(bring_in(call_tool, tmp_path, out, 'cvat'), labels)
    rgb[0, 0] = 9
    Image.fromarray(rgb).save(path)
    with pytest.raises(SystemExit):
        bring_in(call_tool, tmp_path, out, 'cvat')
    assert f'{path}: the colour 090909 is not in' in capsys.readouterr().err


@pytest.mark.parametrize('text, words',
                         [('cat:1,2::\n', 'line 1: expected name:red'),
                          ('a:1,2,3::\nb:1,2,3::\n', "line 2: the colour of "
                           "'a' again"), ('# x\n', 'names no class')])
def test_bad_label_map(tmp_path, text, words):
    (tmp_path / 'labelmap.txt').write_text(text)
    with pytest.raises(InputError, match='labelmap.txt: ') as caught:
        CvatSource(str(tmp_path))
    assert words in str(caught.value)


def test_label_studio(dump, tmp_path, call_tool):
    out = tmp_path / 'tasks.json'
    call_tool('export_labels', dump, out, '--format', 'label-studio',
              '--prefix', '/data/local-files/?d=x/')
    tasks = json.loads(out.read_text())
    assert [task['data']['image'] for task in tasks] == [
        '/data/local-files/?d=x/' + name
        for name in ('a.jpg', 'b%20c.jpg', 'd/e%231.jpg')
    ]
    # as Label Studio gives them back; a polygon for the empty one
    for task in tasks:
        done = task.pop('predictions')[0]['result']
        task['annotations'] = [
            dict(was_cancelled=True, result=[]),
            dict(result=done)
        ]
    corners = [[0, 0], [50, 0], [50, 50], [0, 50]]
    tasks[1]['annotations'][1]['result'].append(
        dict(
            type='polygonlabels',
            original_width=53,
            original_height=37,
            value=dict(points=corners, polygonlabels=['cat'])))
    del tasks[1]['data']['img_id']  # then the file name tells
    out.write_text(json.dumps(tasks))
    found = bring_in(call_tool, tmp_path, out, 'label-studio')
    labels = without_unknown(labels_of(dump))
    area = found['b c'] == 1
    assert area[:18, :26].all() and not area[19:].any()
    labels['b c'] = found['b c']
    same(found, labels)


def region(mask, name, **changes):
    """A region of the brush, as Label Studio writes it."""
    value = dict(format='rle', rle=encode_brush(mask), brushlabels=[name])
    return dict(
        dict(
            original_height=mask.shape[0],
            original_width=mask.shape[1],
            value=value), **changes)


ONES = np.ones((2, 3), bool)
POLYGON = dict(points=[[0, 0], [1]], polygonlabels=['cat'])


@pytest.mark.parametrize('results, words', [
    ([3], 'result[0]: expected an object'),
    ([dict(type='choices', value=3)], "'a' has no region, so its size"),
    ([region(ONES, 'cat'), region(ONES.T, 'cat')], 'result[1]: the image is'),
    ([region(ONES, 'cat', original_height=0)], "wants 'original_height'"),
    ([region(ONES, 'cat', image_rotation=90)], 'of an image that was turned'),
    ([region(ONES, 'cat', type='rectanglelabels', value=dict(x=1))
      ], "result[0]: a region of type 'rectanglelabels' is no mask"),
    ([region(ONES, 'cat', value=dict(POLYGON, points=[3]))], 'are no pairs'),
    ([region(ONES, 3)], 'result[0]: has no name'),
    (None, "image 'a' has 0 annotations that are not cancelled"),
])
def test_bad_task(results, words, tmp_path):
    path = tmp_path / 'e.json'
    task = dict(
        data=dict(img_id='a'),
        annotations=[dict(was_cancelled=results is None, result=results)])
    path.write_text(json.dumps([task]))
    with pytest.raises(InputError) as caught:
        LabelStudioSource(str(path)).read('a')
    assert str(caught.value).startswith(f'{path}: task[0]: ')
    assert words in str(caught.value)


@pytest.mark.parametrize('tasks, words', [
    ({}, 'expected a list of tasks'),
    ([3], "task[0]: expected an object with 'data'"),
    ([dict(data={})], "task[0]: has no image under 'image'"),
    ([dict(data=dict(img_id='a'))] * 2, "2 tasks of image 'a'"),
])
def test_bad_tasks(tasks, words, tmp_path):
    path = tmp_path / 'e.json'
    path.write_text(json.dumps(tasks))
    with pytest.raises(InputError) as caught:
        LabelStudioSource(str(path)).read('a')
    assert str(caught.value) == f'{path}: {words}'


def test_tasks_without_an_id(tmp_path):
    """The whole id tells whose a task is; what is painted later counts."""
    mask = np.zeros((2, 3), bool)
    mask[0] = True
    tasks = [
        dict(
            data=dict(image='/data/upload/x/a.jpg'),
            annotations=[
                dict(result=[region(ONES, 'cat'),
                             region(mask, 'dog')])
            ])
    ]
    (tmp_path / 'e.json').write_text(json.dumps(tasks))
    source = LabelStudioSource(str(tmp_path / 'e.json'))
    cat, dog = source.read('x/a').masks
    np.testing.assert_array_equal(cat.mask, ~mask)
    np.testing.assert_array_equal(dog.mask, mask)
    for name, words in (('y/a', '0 tasks'), ('a', "of image 'x/a' or of")):
        with pytest.raises(InputError, match=words):
            source.read(name)


@pytest.mark.parametrize('shape', [(1, 1), (3, 5), (200, 301)])
def test_brush(shape):
    rng = np.random.default_rng(1)
    smooth = np.zeros(shape, bool)
    smooth[shape[0] // 3:, :shape[1] // 2 + 1] = True
    for mask in (rng.random(shape) < .5, np.ones(shape, bool), smooth):
        packed = encode_brush(mask)
        assert all(type(x) is int and 0 <= x < 256 for x in packed)
        np.testing.assert_array_equal(decode_brush(packed, shape), mask)


def test_brush_by_hand():
    # 8 values of 8 bits, counts of 3, 4, 8, 16 bits: 4 single values, then
    # a run of 4
    bits = (f'{8:032b}' + '00111' + '0010' + '0011' + '0111' + '1111' + '0' +
            '00' + '011' + '00000001' * 3 + '00000000' + '1' + '01' + '0011' +
            '11111111')
    bits += '0' * (-len(bits) % 8)
    packed = [int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)]
    assert decode_brush(packed, (1, 2)).tolist() == [[False, True]]
    # what a task of another project begins with: 2527 x 3332 pixels
    assert encode_brush(np.zeros((2527, 3332),
                                 bool))[:6] == [2, 1, 233, 240, 57, 27]
    # one pixel of four values, and a block of five
    long = [0, 0, 0, 4, *packed[4:7], 0b10000000, *[255] * 6]
    with pytest.raises(InputError, match='more values than it says'):
        decode_brush(long, (1, 1))
    for bad, words in ((packed[:-2], 'too early'), ([300], 'bytes'),
                       (packed, 'values')):
        with pytest.raises(InputError, match=words):
            decode_brush(bad, (1, 2) if bad is not packed else (2, 2))


def test_cvat_is_given_a_colour_a_class(dump, tmp_path):
    """A config may colour two classes alike, CVAT would take them for one."""
    alike = json.loads((dump / 'manifest.json').read_text())
    alike['palette'] = [[0, 0, 0], [255, 0, 0], [255, 0, 0]]
    (dump / 'manifest.json').write_text(json.dumps(alike))
    export_cvat_masks(Dump.open(str(dump)), str(tmp_path / 'cvat'))
    source = CvatSource(str(tmp_path / 'cvat'))
    assert source.names == CLASSES
    assert {mask.name for mask in source.read('a').masks} == set(CLASSES)
    colon = Dump.open(str(dump))._replace(names=('background', 'a:b', 'c'))
    with pytest.raises(InputError, match="'a:b': a name of labelmap.txt has"):
        export_cvat_masks(colon, str(tmp_path / 'new'))
