# Copyright (c) group_wsss contributors. All rights reserved.
"""Any tree of folders is read, or ends in an InputError of one line.

For the files of other formats see ``tests/test_tools/test_fuzz_readers.py``.
"""
import os
import random
import shutil

from group_wsss.contrib.converters import read_folders
from group_wsss.utils.errors import InputError


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
