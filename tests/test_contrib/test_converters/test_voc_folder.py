# Copyright (c) group_wsss contributors. All rights reserved.
import pytest

from group_wsss.contrib.converters import read_voc_folder
from group_wsss.utils.errors import InputError

OBJECT = '<object><name> cat </name></object>'
HARD = ('<object><name>dog</name><difficult>1</difficult><part><name>head'
        '</name></part></object>')

TYPE = '<!DOCTYPE x [<!ENTITY a "aa">]>'


def put(folder, name, inner):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<annotation>{inner}</annotation>')
    return str(folder)


def test_difficult_and_filename(tmp_path):
    put(tmp_path, 'a.xml', f'<filename>C:\\x\\a.PNG</filename>{OBJECT}{HARD}')
    root = put(tmp_path, 'sub/b.xml', f'<filename>b</filename>{HARD}')
    found = read_voc_folder(root)
    assert found.classes == ('cat', 'dog')
    assert [r[:3] for r in found.records] == [('a', (0, 1), 'a.PNG'),
                                              ('sub/b', (1, ), 'sub/b.jpg')]
    found = read_voc_folder(root, ignore_difficult=True, suffix='.bmp')
    assert found.classes == ('cat', )
    assert [r[:3] for r in found.records] == [('a', (0, ), 'a.PNG'),
                                              ('sub/b', (), 'sub/b.bmp')]


@pytest.mark.parametrize('encoding', ['utf-16', 'cp037'])
def test_no_way_around_by_an_encoding(encoding, tmp_path):
    text = f'<?xml version="1.0" encoding="{encoding}"?>'
    data = text.encode() + f'{TYPE}<annotation/>'.encode(encoding)
    (tmp_path / 'a.xml').write_bytes(data)
    with pytest.raises(InputError, match='a.xml: encoding'):
        read_voc_folder(str(tmp_path))
    (tmp_path / 'a.xml').write_text(f'{TYPE}<annotation/>', 'utf-16')
    with pytest.raises(InputError, match='a.xml:1: not UTF-8'):
        read_voc_folder(str(tmp_path))


def test_encodings_that_are_read(tmp_path):
    text = ('<?xml version="1.0" encoding="ISO-8859-1"?><annotation><object>'
            '<name>été</name></object></annotation>')
    (tmp_path / 'a.xml').write_bytes(text.encode('latin-1'))
    assert read_voc_folder(str(tmp_path)).classes == ('été', )
