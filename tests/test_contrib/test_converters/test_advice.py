# Copyright (c) group_wsss contributors. All rights reserved.
"""Tags that are no tags, and what is left out: said, never silent."""
import json
import re

import numpy as np
import pytest

from group_wsss.contrib.converters import (read_cls_labels, read_cvat,
                                           read_folders, read_label_studio,
                                           read_table)
from group_wsss.contrib.converters.advice import advise, near_duplicates
from group_wsss.structures import ImageList, ImageRecord
from group_wsss.utils.errors import InputError


def table(tmp_path, *cells, **options):
    path = tmp_path / 'a.csv'
    rows = [f'{i},"{cell}"' for i, cell in enumerate(cells)]
    path.write_text('\n'.join(['id,tags', *rows]))
    return read_table(str(path), **options)


def choice(name, *choices, kind='choices'):
    return dict(from_name=name, type=kind, value={kind: list(choices)})


def studio(tmp_path, *tasks, **options):
    """A full export of lists of results, or a JSON-MIN of dicts."""
    path = tmp_path / 'a.json'
    path.write_text(
        json.dumps([
            dict(task, image=task.get('image', f'/u/{i}.jpg'))
            if isinstance(task, dict) else dict(
                data=dict(image=f'{i}.jpg'), annotations=[dict(result=task)])
            for i, task in enumerate(tasks)
        ]))
    return read_label_studio(str(path), **options)


def tags(content):
    return [[content.classes[i] for i in r.labels] for r in content.records]


@pytest.mark.parametrize('cells, line', [
    (['cat, dog', 'cat'], "separator or bracket in a name.*'cat, dog'$"),
    (["['cat', 'dog']", '[]'], 'separator or bracket in a name'),
    (['cat/dog', 'cat'], 'separator or bracket in a name'),
    (['cat_dog', 'Cat', 'dog'], "made of other classes.*'cat_dog'$"),
    (['haze primary', 'clear primary', 'haze'], "2 of 3 .*--separator ' '"),
    (['cat', 'ccat'], r"one class: 'cat' \(1\) and 'ccat' \(1\)$"),
    (['potted;plant'] * 2 + ['cat'], "same images.*'plant' and 'potted'$"),
    (['cat'] * 4 + ['dog'] * 3, r'fewer images than a group \(4\): dog 3$'),
    (['cat;nan', 'None', 'NULL'], "left out 1 'NULL', 1 'None', 1 'nan'"),
    (['cow', 'cat', 'cat'], 'images of each class, rarest first: cow 1, cat'),
])  # yapf: disable
def test_doubts(cells, line, tmp_path):
    lines = advise(table(tmp_path, *cells))
    found = [text for text in lines if re.search(line, text)]
    assert len(found) == 1
    assert lines[-1].startswith('images of each class, rarest first: ')


def test_no_doubts(tmp_path):
    names = ('traffic light;tvmonitor', 'traffic light;bus', 'tvmonitor',
             'bus', 'boat', 'type 1', 'type 2')
    lines = advise(table(tmp_path, *names * 4, separator=';'))
    assert len(lines) == 1


@pytest.mark.parametrize('first, second', [
    pair.split(', ')
    for pair in ('chair, Chair', 'cat, ccat', 'cat, cats', 'horse, hosre',
                 'bus, buses', 'berry, berries', 'knife, knives',
                 'potted plant, potted_plant', 'potted plant, pottedplant',
                 'potted plant, poted plant')
])
def test_near_duplicates(first, second):
    found = near_duplicates([first, 'elephant', second])
    assert found == [tuple(sorted((first, second)))]


def test_no_duplicates():
    for pair in (('cat', 'car'), ('class 1', 'class 2'), ('type a', 'type b'),
                 ('horse', 'house plant'), ('mouse', 'horse')):
        assert near_duplicates(pair) == []


def test_words_for_nothing(tmp_path):
    found = table(tmp_path, 'cat', 'nan', ' ', 'None; cat', '<NA>')
    assert tags(found) == [['cat'], [], [], ['cat'], []]
    # a class may be called so if the user says so
    found = table(tmp_path, 'none', 'cat', classes=['cat', 'none'])
    assert tags(found) == [['none'], ['cat']]
    with pytest.raises(
            InputError, match="no image has a tag; left out 2 'nan"):
        table(tmp_path, 'nan', 'nan')
    path = tmp_path / 'a.csv'
    path.write_text('id,tags,path\na,cat,nan\n')
    assert read_table(str(path)).records[0].path == 'a.jpg'


def test_one_control_in_every_format(tmp_path):
    full = [[choice('tags', 'cat'),
             choice('quality', 'dark')],
            [choice('tags', 'dog'),
             choice('quality', 'sharp')]]
    small = [
        dict(tags='cat', quality='dark', by='Ann'),
        dict(tags=dict(choices=['dog', 'cow']), quality='sharp')
    ]
    mixed = studio(tmp_path, *full)
    assert tags(mixed) == [['cat', 'dark'], ['dog', 'sharp']]
    assert 'choices of 2 controls are mixed' in mixed.notes[0]
    assert 'quality (dark, sharp); tags (cat, dog)' in mixed.notes[0]
    for tasks in (full, small):
        assert tags(studio(tmp_path, *tasks,
                           choice_key='quality')) == [['dark'], ['sharp']]
        assert tags(studio(tmp_path, *tasks, choice_key='tags'))[0] == ['cat']
        with pytest.raises(
                InputError, match="under 'no'; .*: .*quality, tags"):
            studio(tmp_path, *tasks, choice_key='no')
    # a text is a choice where its key has a list of choices elsewhere
    found = studio(tmp_path, *small)
    assert tags(found) == [['cat'], ['cow', 'dog']]
    assert found.notes[0].endswith('takes them): by, quality')
    with pytest.raises(InputError, match='no image has a tag.*: by, tags'):
        studio(tmp_path, dict(tags='cat', by='Ann'))


def test_annotators_of_one_image_in_json_min(tmp_path):
    pair = [
        dict(image='/u/a.jpg', choice='cat'),
        dict(image='/u/a.jpg', choice='dog')
    ]
    assert tags(studio(tmp_path, *pair)) == [['cat', 'dog']]
    pair[1]['image'] = '/v/a.jpg'
    with pytest.raises(InputError, match="duplicate image id 'a'"):
        studio(tmp_path, *pair)


@pytest.mark.parametrize('cat', [True, False])
def test_what_is_left_out_of_exports(cat, tmp_path):
    results = [
        choice('box', 'dog', kind='rectanglelabels'),
        choice('tree', ['a', 'b'], kind='taxonomy')
    ]
    small = dict(box=[dict(rectanglelabels=['dog'])], tree=[['a', 'b']])
    xml = tmp_path / 'a.xml'
    xml.write_text(
        '<annotations><image name="a/1.jpg">' + '<tag label="cat"/>' * cat +
        '<box label="dog"/><box label="dog"/></image></annotations>')
    regions = '1 rectanglelabels: labels of regions .--regions takes them.'
    for read, told in (
        (lambda: read_cvat(str(xml), ['cat', 'dog']),
         '2 box: .* .--shapes takes them.'),
        (lambda: studio(tmp_path, results + [choice('x', 'cat')] * cat),
         f'{regions}.*1 taxonomy: results that are no choices'),
        (lambda: studio(tmp_path,
                        dict(small,
                             **dict(choice='cat') if cat else {})),
         f'{regions}.*1 taxonomy: results that are no choices')):
        if cat:
            assert re.search(told, '; '.join(read().notes))
            continue
        with pytest.raises(InputError, match=f'no image has a tag; .*{told}'):
            read()


def test_images_of_other_kinds(tmp_path):
    for name in ('a.jpg', 'b.JFIF', 'c.avif', 'd.heic', 'e.gif', 'f.GIF'):
        (tmp_path / 'set/cat').mkdir(parents=True, exist_ok=True)
        (tmp_path / 'set/cat' / name).write_bytes(b'')
    found = read_folders(str(tmp_path / 'set'))
    assert [r.path for r in found.records][:2] == ['cat/a.jpg', 'cat/b.JFIF']
    assert '2 .gif, 1 .heic: files of kinds that' in found.notes[0]
    path = tmp_path / 'a.csv'
    names = ['a.jfif', 'b.avif', 'c.gif', 'd.HEIC']
    path.write_text('\n'.join(['id,tags', *(f'{n},cat' for n in names)]))
    found = read_table(str(path))
    assert [r.path for r in found.records] == names
    assert [r.img_id for r in found.records] == list('abcd')
    assert advise(found)[0].endswith('convert them: 1 .gif, 1 .heic')
    np.save(tmp_path / 'a.npy', {'x/a.jpg': np.ones(1), 'b': np.ones(1)})
    found = read_cls_labels(str(tmp_path / 'a.npy'), ['cat'])
    assert [r[:3] for r in found.records] == [('b', (0, ), 'b.jpg'),
                                              ('x/a', (0, ), 'x/a.jpg')]


def test_parts_of_a_set(tmp_path):
    (tmp_path / 'photos/cat').mkdir(parents=True)
    (tmp_path / 'photos/cat/1.jpg').write_bytes(b'')
    found = read_folders(str(tmp_path))
    assert 'no image lies directly in photos; ' in found.notes[0]
    (tmp_path / 'photos').rename(tmp_path / 'train')
    with pytest.raises(InputError, match='train are parts of a set, not'):
        read_folders(str(tmp_path))
    # VOC has trains
    assert read_folders(str(tmp_path), ['train']).records[0].labels == (0, )
    (tmp_path / 'train/2.jpg').write_bytes(b'')
    assert read_folders(str(tmp_path)).classes == ('train', )


def test_many_names_stay_short():
    records = [ImageRecord(str(i), (i, ), f'{i}.jpg') for i in range(40)]
    content = ImageList(records, tuple(f'no. {i}, x' for i in range(40)))
    assert 'and 32 more' in advise(content)[0]
