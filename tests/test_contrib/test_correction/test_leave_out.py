# Copyright (c) group_wsss contributors. All rights reserved.
"""Lists and dumps without images that somebody marked."""
import json

import numpy as np
import pytest

from group_wsss.structures import Dump, ScoreMap, read_image_list
from group_wsss.structures.dump_writer import DumpWriter
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import output_path


@pytest.fixture
def dump(tmp_path):
    folder = tmp_path / 'dump'
    writer = DumpWriter(str(folder), ['cat', 'dog'])
    for i, name in enumerate(['a', 'b c', 'd/e']):
        writer.write(name, np.full((2, 3), i, np.uint8))
        maps = np.full((1, 2, 3), .5, np.float32)
        ScoreMap(name, (2, 3), [0], maps).save(
            output_path(f'{writer.staging}/scores', name, '.npz'))
    writer.finish(
        supervision='IS',
        seed=3,
        skipped={'z': 'damaged'},
        image_paths={'a': 'a.JPG'},
        labeler=dict(type='x'))
    return folder


def test_dump(dump, tmp_path, call_tool, capsys):
    ids = tmp_path / 'leave_out.txt'
    ids.write_text('b c\n\n')
    call_tool('leave_out', dump, ids, '-o', tmp_path / 'new')
    assert capsys.readouterr().out == f'{tmp_path / "new"}: 2 images\n'
    old, new = Dump.open(str(dump)), Dump.open(str(tmp_path / 'new'))
    assert list(new.ids) == ['a', 'd/e']
    for name in new.ids:
        for file in (f'{name}.png', f'scores/{name}.npz'):
            assert (tmp_path / 'new' /
                    file).read_bytes() == (dump / file).read_bytes()
    assert not list((tmp_path / 'new').rglob('b c*'))
    assert new.manifest.skipped == ['b c', 'z']
    told = (tmp_path / 'new' / 'skipped.txt').read_text().splitlines()
    assert told == [f'b c\tleft out by {ids}', 'z\tdamaged']
    for key in ('supervision', 'seed', 'labeler', 'image_paths', 'classes'):
        assert getattr(new.manifest, key) == getattr(old.manifest, key), key
    assert new.manifest.pixels == dict(background=6, cat=0, dog=6)
    assert list(old.ids) == ['a', 'b c', 'd/e']  # as it was


def test_list(tmp_path, call_tool, capsys):
    source = tmp_path / 'labels.json'
    images = [
        dict(id=name, path=f'{name}.jpg', labels=[i])
        for i, name in enumerate('xyz')
    ]
    source.write_text(json.dumps(dict(classes=list('abc'), images=images)))
    (tmp_path / 'ids.txt').write_text('y\n')
    call_tool('leave_out', source, tmp_path / 'ids.txt', '-o',
              tmp_path / 'new.json')
    found, old = (
        read_image_list(path) for path in (tmp_path / 'new.json', source))
    assert found.classes == old.classes
    assert [record[:3] for record in found.records] == [
        record[:3] for record in old.records if record.img_id != 'y'
    ]


@pytest.mark.parametrize('text, words',
                         [('a\nq\n', "line 2: {dump} has no image 'q'"),
                          ('\n', 'names no image'),
                          ('a\nb c\nd/e\n', 'names all images of {dump}')])
def test_bad_ids(dump, tmp_path, text, words):
    from group_wsss.contrib.correction import leave_out_of_dump
    path = tmp_path / 'ids.txt'
    path.write_text(text)
    out = tmp_path / 'new'
    with pytest.raises(InputError) as caught:
        leave_out_of_dump(str(dump), str(path), str(out))
    assert words.format(dump=dump) in str(caught.value)
    assert str(caught.value).startswith(f'{path}: ') and not out.exists()


@pytest.mark.parametrize('out', ['dump/.', 'dump/d/new', '.'])
def test_not_over_the_dump(dump, tmp_path, out):
    from group_wsss.contrib.correction import leave_out_of_dump
    path = tmp_path / 'ids.txt'
    path.write_text('a\n')
    with pytest.raises(InputError, match='neither in .* nor around it'):
        leave_out_of_dump(str(dump), str(path), str(tmp_path / out))
