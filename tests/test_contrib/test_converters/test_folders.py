# Copyright (c) group_wsss contributors. All rights reserved.
import contextlib
import os
import random
import shutil
from pathlib import Path

import pytest

from group_wsss.contrib.converters import read_folders
from group_wsss.utils.errors import InputError


def put(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data.encode())
    return str(root)


def rows(content):
    return [(r.img_id, r.path, r.labels) for r in content.records]


def test_walks_and_leaves_out(tmp_path):
    root = put(
        tmp_path, {
            'dog/y.JPEG': '1',
            'dog/deep/er/x.png': '2',
            'cat/z.jpg': '3',
            'cat/notes.txt': '',
            'cat/.hidden.jpg': '',
            '.git/x.jpg': '',
            'README.md': ''
        })
    found = read_folders(root)
    assert found.classes == ('cat', 'dog')
    assert rows(found) == [('deep/er/x', 'dog/deep/er/x.png', (1, )),
                           ('y', 'dog/y.JPEG', (1, )),
                           ('z', 'cat/z.jpg', (0, ))]
    assert read_folders(root, ['dog', 'cow', 'cat']).records[2].labels == (2, )


@pytest.mark.parametrize('how', ['copy', 'symlink', 'hardlink'])
def test_copies_and_links_are_one_image(how, tmp_path):
    root = put(tmp_path, {'b/x.jpg': 'same', 'a/y.jpg': '', 'c/y.jpg': ''})
    target = tmp_path / 'a/x.jpg'
    if how == 'copy':
        target.write_bytes(b'same')
    elif how == 'symlink':
        os.symlink(tmp_path / 'b/x.jpg', target)
    else:
        os.link(tmp_path / 'b/x.jpg', target)
    assert rows(read_folders(root)) == [('x', 'a/x.jpg', (0, 1)),
                                        ('y', 'a/y.jpg', (0, 2))]


def test_linked_folder(tmp_path):
    put(tmp_path / 'elsewhere', {'in/x.jpg': ''})
    (tmp_path / 'root').mkdir()
    os.symlink(tmp_path / 'elsewhere', tmp_path / 'root/cat')
    found = read_folders(str(tmp_path / 'root'))
    assert rows(found) == [('in/x', 'cat/in/x.jpg', (0, ))]


def test_same_name_other_image(tmp_path):
    root = put(tmp_path, {'a/1.jpg': 'one', 'b/1.jpg': 'two'})
    with pytest.raises(InputError, match='b/1.jpg: a/1.jpg has the same'):
        read_folders(root)
    assert rows(read_folders(root, ids='path')) == [('a/1', 'a/1.jpg', (0, )),
                                                    ('b/1', 'b/1.jpg', (1, ))]


def test_composed_names(tmp_path):
    root = put(tmp_path, {'e\u0301te\u0301/1.jpg': '', 'été/2.jpg': ''})
    assert read_folders(root).classes == ('été', )


def test_empty_class_folder(tmp_path):
    root = put(tmp_path, {'a/1.jpg': ''})
    (tmp_path / 'b').mkdir()
    with pytest.raises(InputError, match="'b' holds no image"):
        read_folders(root)
    assert len(read_folders(root, ['a', 'b']).records) == 1


def test_trees(tmp_path):
    """Any tree of folders is read, or ends in one line."""
    names = ['a', 'b', '.c', 'background', 'x.jpg', 'y.JPG', 'z.txt', 'ü.png']
    rng = random.Random(0)
    done = 0
    for number in range(150):
        root = tmp_path / str(number)
        root.mkdir()
        for _ in range(rng.randrange(1, 6)):
            parts = rng.choices(names, k=rng.choice((1, 2, 2, 2, 3)))
            if rng.random() < 0.7:
                parts[-1] = rng.choice(names[4:])
                parts[0] = rng.choice(names[:2])
            path = root.joinpath(*parts)
            if os.path.lexists(path):  # writing to a pipe would wait
                continue
            make = rng.choice([
                Path.mkdir, os.mkfifo,
                lambda p: p.symlink_to(rng.choice((root, 'nowhere', path)))
            ] + 9 * [lambda p: p.write_bytes(bytes([rng.randrange(2)]))])
            with contextlib.suppress(OSError):  # something else is there
                path.parent.mkdir(parents=True, exist_ok=True)
                make(path)
        try:
            content = read_folders(str(root))
        except InputError as error:
            assert str(error) and '\n' not in str(error)
        else:
            ids = [record.img_id for record in content.records]
            assert ids == sorted(set(ids)) and content.classes
            done += 1
        shutil.rmtree(root)
    assert 15 < done < 135, done
