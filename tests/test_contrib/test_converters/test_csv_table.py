# Copyright (c) group_wsss contributors. All rights reserved.
import pytest

from group_wsss.contrib.converters import read_table
from group_wsss.utils.errors import InputError


def put(folder, text, name='a.csv'):
    (folder / name).write_text(text, encoding='utf-8')
    return str(folder / name)


def rows(content):
    return [(r.img_id, r.path, [content.classes[i] for i in r.labels])
            for r in content.records]


@pytest.mark.parametrize('separator', [';', ',', ' ', '|'])
def test_separators(separator, tmp_path):
    path = put(tmp_path, f'id,tags\na,"x{separator}{separator} y"\n')
    assert rows(read_table(path,
                           separator=separator)) == [('a', 'a.jpg', ['x',
                                                                     'y'])]


def test_columns_and_delimiter(tmp_path):
    path = put(tmp_path, ' image ;labels;file\na.png;x y;\nb;;q/b.bmp\n',
               'a.txt')
    found = read_table(
        path,
        id_column='image',
        tags_column='labels',
        path_column='file',
        delimiter=';',
        separator=' ')
    assert rows(found) == [('a', 'a.png', ['x', 'y']), ('b', 'q/b.bmp', [])]
    with pytest.raises(InputError, match="unknown suffix '.txt'"):
        read_table(path)
    with pytest.raises(InputError, match='not one character'):
        read_table(path, delimiter='::')


def test_suffix_and_order_of_classes(tmp_path):
    path = put(tmp_path, 'id,tags\nv1.2,x\n')
    found = read_table(path, ['y', 'x'], suffix='.png')
    assert found.classes == ('y', 'x')
    assert found.records[0][:3] == ('v1.2', (1, ), 'v1.2.png')


def test_one_tag_a_row(tmp_path):
    path = put(tmp_path, 'id,tags\na,x\nb,y\na,y\n')
    with pytest.raises(InputError, match=':4: duplicate .*:2'):
        read_table(path)
    assert rows(read_table(path, merge=True)) == [('a', 'a.jpg', ['x', 'y']),
                                                  ('b', 'b.jpg', ['y'])]


@pytest.mark.parametrize('mark', [';', '\t'])
def test_what_spreadsheets_save(mark, tmp_path):
    path = put(
        tmp_path, f'\ufeff\nNote{mark}ID{mark}Tags\n'
        f'x, y{mark}a.JPG{mark}"cat{"," if mark == ";" else ";"} dog"')
    assert rows(read_table(path)) == [('a', 'a.JPG', ['cat', 'dog'])]
    # a comma in the header decides as it did
    path = put(tmp_path, 'id,tags;\n')
    with pytest.raises(
            InputError, match="'tags' .--tags-column., it has "
            "'id, tags;'"):
        read_table(path)


def test_the_ids_tell_what_parts_columns(tmp_path):
    path = put(tmp_path, '"size, cm";id;tags\n1,5;a;x\n')
    assert rows(read_table(path)) == [('a', 'a.jpg', ['x'])]


@pytest.mark.parametrize('text, mark', [('id;tags\na;"x;y"\n', ';'),
                                        ('id,tags\na,"x,y"\nb,x\n', ','),
                                        ('id\ttags\na\tx|y\n', '|')])
def test_tags_parted_by_another_mark_are_doubted(text, mark, tmp_path):
    note, = read_table(put(tmp_path, text)).notes
    assert f"'x{mark}y': " in note and f'--separator {mark!r}' in note
    assert read_table(put(tmp_path, text), separator=mark).notes == ()


def test_one_row_with_another_mark(tmp_path):
    text = 'id,tags\na,x;y\nb,y\nc,x|y\n'
    with pytest.raises(InputError, match=r":4: 'x\|y' holds tags of other"):
        read_table(put(tmp_path, text))
    # no tags elsewhere: perhaps the name of a class
    note, = read_table(put(tmp_path, 'id,tags\na,x;y\nb,y\nc,x|z\n')).notes
    assert "1 of 3 rows have a tag with '|', such as 'x|z'" in note


@pytest.mark.parametrize('text, separator, words', [
    ('a,x;y\nb,x y\n', None, "3: 'x y' is one tag, though other rows have"),
    ('a,x;y\nb,x/y\n', None, "3: 'x/y' is one tag, though other rows have"),
    ('a,"x, y"\nb,x\nc,y\n', ' ', "2: 'x,' holds tags of other rows"),
])
def test_parts_that_other_rows_have(text, separator, words, tmp_path):
    path = put(tmp_path, f'id,tags\n{text}')
    if 'holds' in words:
        with pytest.raises(InputError, match=words):
            read_table(path, separator=separator)
        return
    assert any(words in note for note in read_table(path).notes)
    # a name that is given is no mistake
    names = ['x', 'y', 'x y', 'x/y', 'x,y']
    assert read_table(path, classes=names).notes == ()
    path = put(tmp_path, 'id,tags\na,x;y\nb,"x,y"\n')
    assert rows(read_table(path, classes=names))[1][2] == ['x,y']


@pytest.mark.parametrize('first, mark, end', [('sep=;', ';', '\n'),
                                              ('sep = ;;', ';', '\n'),
                                              ('"SEP=,"', ',', '\r\n'),
                                              ('\ufeffsep=|', '|', '\n')])
def test_excel_says_what_parts_columns(first, mark, end, tmp_path):
    path = put(tmp_path, end.join([first, f'id{mark}tags', f'a{mark}x', '']))
    assert rows(read_table(path)) == [('a', 'a.jpg', ['x'])]
    path = put(tmp_path, end.join([first, f'id{mark}tags', f'a{mark}x{mark}']))
    with pytest.raises(InputError, match=':3: 3 columns, the header has 2'):
        read_table(path)
