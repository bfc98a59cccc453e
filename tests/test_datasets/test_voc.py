# Copyright (c) group_wsss contributors. All rights reserved.
import re

import pytest

from group_wsss.datasets import VOC_CLASSES, VOCImageLevel
from group_wsss.datasets.voc import read_voc_xml
from group_wsss.utils.errors import InputError

OBJECT = '<object><name>{}</name>{}</object>'


def annotation(*objects):
    return ('<?xml version="1.0"?><annotation><size/>' +
            ''.join(OBJECT.format(name, rest)
                    for name, rest in objects) + '</annotation>')


@pytest.fixture
def root(tmp_path):
    for folder in ('JPEGImages', 'Annotations'):
        (tmp_path / folder).mkdir()
    for name in ('a', 'b'):
        (tmp_path / f'JPEGImages/{name}.jpg').write_bytes(b'')
        (tmp_path / f'Annotations/{name}.xml').write_text(
            annotation(('dog', '<difficult>0</difficult>'),
                       ('person', '<part><name>head</name></part>'),
                       ('dog', ''), ('cat', '<difficult>1</difficult>')))
    (tmp_path / 'ids.txt').write_text('a\nb\n')
    (tmp_path / 'cls.txt').write_text('a 14 3\nb 19 \n')
    return tmp_path


def test_labels_from_list(root):
    data = VOCImageLevel('cls.txt', data_root=str(root))
    assert [data.get_cat_ids(i) for i in range(2)] == [[3, 14], [19]]
    assert data.metainfo['classes'] == VOC_CLASSES
    assert len(data.metainfo['palette']) == len(VOC_CLASSES) == 20


@pytest.mark.parametrize('ignore, expected', [(False, [7, 11, 14]),
                                              (True, [11, 14])])
def test_labels_from_xml(root, ignore, expected):
    data = VOCImageLevel(
        'ids.txt',
        data_root=str(root),
        xml_prefix='Annotations',
        ignore_difficult=ignore)
    assert data.get_cat_ids(0) == expected


def test_one_source_of_labels(root):
    with pytest.raises(InputError, match='cls.txt:1: .*one source'):
        VOCImageLevel('cls.txt', data_root=str(root), xml_prefix='Annotations')
    with pytest.raises(InputError, match='set xml_prefix'):
        VOCImageLevel('ids.txt', data_root=str(root))
    # inference needs no labels
    data = VOCImageLevel('ids.txt', data_root=str(root), test_mode=True)
    assert len(data) == 2 and data.get_cat_ids(0) == []


BOMB = ('<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a "aaaa">'
        '<!ENTITY b "&a;&a;&a;">]><annotation>&b;</annotation>')
HOSTILE = {
    'bomb': (BOMB, 'document type'),
    'external':
    ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', 'document type'),
    'utf-16': (BOMB.encode('utf-16'), 'document type'),
    'truncated': (annotation(('dog', ''))[:-9], 'malformed XML'),
    'empty': ('', 'malformed XML'),
    'encoding':
    ('<?xml version="1.0" encoding="no"?><annotation/>', 'malformed XML'),
    'root': ('<annotations/>', 'no VOC annotation'),
    'class': (annotation(('unicorn', '')), "unknown class 'unicorn'"),
    'no name':
    ('<annotation><object/></annotation>', r'object\[0\]: has no name'),
    'difficult': (annotation(
        ('dog', '<difficult>yes</difficult>')), 'difficult'),
}


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_xml(root, name):
    content, message = HOSTILE[name]
    path = root / 'Annotations/b.xml'
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        VOCImageLevel('ids.txt', data_root=str(root), xml_prefix='Annotations')
    assert str(caught.value).startswith(f'{path}: ')
    assert '\n' not in str(caught.value)


def test_parser_alone_refuses_document_types(root, monkeypatch):
    # the search for the words is the first guard, the tree the second
    monkeypatch.setattr('group_wsss.structures.voc_xml._DOCTYPE',
                        re.compile(b'(?!)'))
    with pytest.raises(InputError, match='document type'):
        read_voc_xml(BOMB.encode(), {}, False)
    monkeypatch.undo()
    monkeypatch.setattr('group_wsss.structures.voc_xml._PlainTree.doctype',
                        lambda *args: None)
    with pytest.raises(InputError, match='document type'):
        read_voc_xml(BOMB.encode(), {}, False)


def test_missing_xml(root):
    (root / 'Annotations/b.xml').unlink()
    with pytest.raises(InputError, match='b.xml: cannot be read'):
        VOCImageLevel('ids.txt', data_root=str(root), xml_prefix='Annotations')
