# Copyright (c) group_wsss contributors. All rights reserved.
import os
from unicodedata import normalize

import pytest

from group_wsss.structures import ImageRecord
from group_wsss.structures.image_files import (find_files, image_paths,
                                               walk_files)
from group_wsss.utils.errors import InputError

NFC, NFD = (normalize(form, 'été') for form in ('NFC', 'NFD'))


def put(root, *names, data=b''):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return str(root)


def paths(content, root):
    return [r.path for r in find_files(content, root, elsewhere=True)]


def listing(*pairs):
    return [
        ImageRecord(img_id, (0, ), path, 'a.csv:7') for img_id, path in pairs
    ]


def test_how_a_image_is_found(tmp_path):
    root = put(tmp_path, 'x/a.png', 'a.webp', 'deep/b.JPG', 'x/c.jpg',
               'y/d.jpg', 'e.jpg', 'e.xml')
    content = listing(
        ('x/a', 'x/a.jpg'),  # the id as a path
        ('elsewhere/b', 'b.jpg'),  # the last part alone
        ('named', 'x/c.jpg'),  # the path
        ('d', None),
        ('e', 'e.jpg'))
    assert paths(content, root) == [
        'x/a.png', 'deep/b.JPG', 'x/c.jpg', 'y/d.jpg', 'e.jpg'
    ]
    # `a` is the one without a folder, and not ambiguous
    assert paths(listing(('a', None)), root) == ['a.webp']


def test_copies_count_as_one(tmp_path):
    put(tmp_path, 'b/x.jpg', 'a/x.jpg', data=b'same')
    os.symlink(tmp_path / 'a/x.jpg', tmp_path / 'b' / 'y.jpg')
    assert paths(listing(('x', None)), str(tmp_path)) == ['a/x.jpg']
    put(tmp_path, 'c/x.jpg', data=b'other')
    with pytest.raises(InputError, match='a.csv:7: .* a/x.jpg or c/x.jpg'):
        find_files(listing(('x', None)), str(tmp_path))


@pytest.mark.parametrize('elsewhere', [False, True])
@pytest.mark.parametrize(
    'pairs, message',
    [
        ([('x', None), ('y', None),
          ('z', None)], r"7: no image 'y' .*\(2 of 3 "),
        # the file of another image of that name, on the list or not
        ([('cat/1', 'cat/1.jpg'), ('dog/1', 'dog/1.jpg')], "no image 'cat/1'"),
        ([('cat/1', None)], "no image 'cat/1'"),
        ([('1', 'cat/1.jpg'), ('2', 'dog/1.jpg')], "no image '1'"),
        ([('1', 'dog/1.jpg'), ('dog/1', None)], "no image 'dog/1'"),
        ([('a/x', 'x.png'),
          ('b/x', 'a/x.png')], "no image 'a/x'|would both be"),
        ([(NFC, None), (NFD, None)], 'would both be sub/'),
    ])
def test_missing_is_missing(pairs, message, elsewhere, tmp_path):
    root = put(tmp_path, 'x.jpg', 'dog/1.jpg', f'sub/{NFC}.jpg')
    records = listing(('x', None), *pairs)
    with pytest.raises(InputError, match=message):
        find_files(records[pairs[0][0] == 'x':], root, elsewhere)


@pytest.mark.parametrize('name', [
    'a.JPG', 'a.jfif', 'sub/deep/a.jpg', 'two words.jpg', '100%25.jpg',
    f'{NFC}.jpg', f'{NFD}.jpg', 'v1.2.bmp'
])
def test_paths_of_a_dump(name, tmp_path):
    """By its path, or by exactly its id, in either form of Unicode."""
    root = put(tmp_path, name, 'other/b.jpg')
    img_id = name.rsplit('/', 1)[-1].rsplit('.', 1)[0]
    paths = {img_id: name}
    assert image_paths([img_id], paths, 'dump', root) == paths
    assert image_paths([img_id], paths, 'dump') == paths
    assert image_paths([img_id], {}, 'dump', root) == paths
    for form in ('NFC', 'NFD'):
        other = normalize(form, img_id)
        assert image_paths([other], {}, 'dump', root) == {other: name}
        other = {img_id: normalize(form, name)}
        assert image_paths([img_id], other, 'dump', root) == paths
    with pytest.raises(InputError, match='1 of 1 are missing: gone/'):
        image_paths([img_id], {img_id: f'gone/{name}'}, 'dump', root)
    with pytest.raises(InputError, match='dump: does not say which file'):
        image_paths([img_id], {}, 'dump')
    ending = '.png' if name.endswith('jfif') else '.jfif'
    put(tmp_path, name.rsplit('.', 1)[0] + ending, data=b'differs')
    with pytest.raises(InputError, match='may be .* or .*, which differ'):
        image_paths([img_id], {}, 'dump', root)
    assert image_paths([img_id], paths, 'dump', root) == paths


def test_walk(tmp_path):
    put(tmp_path, 'b.xml', 'a/c.XML', 'a/d.jpg', '.x/e.xml')
    assert walk_files(str(tmp_path), ('.xml', )) == ['a/c.XML', 'b.xml']
    os.symlink(tmp_path, tmp_path / 'a' / 'again')
    with pytest.raises(InputError, match='a link to a folder around it'):
        walk_files(str(tmp_path))
    with pytest.raises(InputError, match='cannot be listed'):
        walk_files(str(tmp_path / 'none'))


@pytest.mark.parametrize('name, message', [
    (b'bad\xff.jpg', 'not valid Unicode'),
    (b'two\nlines.jpg', 'control character'),
    (b'back\\slash.jpg', 'backslash'),
    (b'a.jpg', 'link without a target'),
])
def test_names_that_cannot_be_used(name, message, tmp_path):
    path = os.fsencode(tmp_path) + b'/' + name
    os.symlink('nowhere', path)
    with pytest.raises(InputError, match=message) as caught:
        walk_files(str(tmp_path))
    assert '\n' not in str(caught.value)
