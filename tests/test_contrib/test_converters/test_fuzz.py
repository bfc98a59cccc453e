# Copyright (c) group_wsss contributors. All rights reserved.
"""Mutated input is read, or ends in an InputError of one line."""
import os
import random
import shutil

import pytest

from group_wsss.contrib.converters import read_folders
from group_wsss.utils.errors import InputError

# pieces that the formats give a meaning to
PIECES = [
    b'"', b',', b';', b'\n', b'\0', b'\xff', b'{', b'}', b'[', b']', b'null',
    b'true', b'-1', b'1e999', b'NaN', b'..', b'/', b'\\', b'\\ud800', b'<',
    b'/>', b'&amp;', b'&x;', b'<![CDATA[', b'<!--', b'<!DOCTYPE x>', b'<?x?>',
    b'\x80\x04', b'R', b'b', b'c', b'\x93', b'\x94', b'}', b'.', b'u', b'(',
    b'\x85', b'\x88', b'\xff\xff\xff\x7f', b'0' * 50, b'tags'
]


def mutate(data, rng):
    """Change, remove, double or insert some bytes."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(data) + 1)
        end = min(len(data), place + rng.choice((1, 1, 3, 20)))
        kind = rng.randrange(6)
        if kind == 0 and place < len(data):
            data[place] = rng.randrange(256)
        elif kind == 1:
            del data[place:end]
        elif kind == 2:
            data[place:place] = data[place:end]
        elif kind == 3:
            data[place:place] = rng.choice(PIECES)
        elif kind == 4:
            data[place:end] = rng.choice(PIECES)
        elif rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def check(read, path):
    """1 if it was read, 0 if it was refused."""
    try:
        content = read(path)
    except InputError as error:
        assert str(error) and '\n' not in str(error)
        return 0
    ids = [record.img_id for record in content.records]
    assert ids == sorted(set(ids)) and content.classes
    return 1


@pytest.mark.parametrize(
    'name', ['csv', 'tsv', 'coco', 'voc_xml', 'npy', 'label_studio', 'cvat'])
def test_mutations(name, formats, content, tmp_path):
    write, read = formats[name]
    if name == 'voc_xml':
        content = {'a': ['cat', 'été']}
    source = write(tmp_path, content)
    file = source / 'a.xml' if source.is_dir() else source
    data = file.read_bytes()
    assert check(read, str(source))
    rng = random.Random(name)
    done = 0
    for _ in range(250):
        file.write_bytes(mutate(data, rng))
        done += check(read, str(source))
    # the mutations are neither harmless nor fatal
    assert 10 < done < 240, done


def test_trees(tmp_path):
    names = ['a', 'b', '.c', 'background', 'x.jpg', 'y.JPG', 'z.txt', 'ü.png']
    rng = random.Random(0)
    done = 0
    for number in range(150):
        root = tmp_path / str(number)
        root.mkdir()
        for _ in range(rng.randrange(1, 6)):
            parts = [
                rng.choice(names) for _ in range(rng.choice((1, 2, 2, 2, 3)))
            ]
            if rng.random() < 0.7:
                parts[-1] = rng.choice(names[4:])
                parts[0] = rng.choice(names[:2])
            path = root.joinpath(*parts)
            if os.path.lexists(path):  # writing to a pipe would wait
                continue
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                kind = rng.randrange(12)
                if kind == 0:
                    path.mkdir()
                elif kind == 1:
                    os.symlink(
                        rng.choice((root, root / 'a', 'nowhere', path)), path)
                elif kind == 2:
                    os.mkfifo(path)
                else:
                    path.write_bytes(bytes([rng.randrange(2)]))
            except OSError:  # the tree has something else there
                continue
        done += check(read_folders, str(root))
        shutil.rmtree(root)
    assert 15 < done < 135, done
