# Copyright (c) group_wsss contributors. All rights reserved.
import errno
import os
import subprocess
import sys

import pytest

from group_wsss.utils import files
from group_wsss.utils.errors import InputError

BAD_IDS = ('', '../x', 'a/../../x', '/etc/x', 'C:x', 'c:/x', 'a\\b', 'a\0b',
           'a//b', 'a/', './a', 'a/.', 'a\nb', None, 7)


@pytest.mark.parametrize('img_id', BAD_IDS)
def test_bad_ids_are_refused(img_id, tmp_path):
    with pytest.raises(InputError) as caught:
        files.output_path(str(tmp_path), img_id, '.png')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('img_id', ('a', '2007_000032', 'x/y', 'a..b', 'é 1'))
def test_good_ids_stay_below_the_folder(img_id, tmp_path):
    path = files.output_path(str(tmp_path), img_id, '.png')
    assert path == str(tmp_path) + '/' + img_id + '.png'


def test_write_replaces_and_leaves_no_part_file(tmp_path):
    path = tmp_path / 'sub' / 'x.bin'
    files.atomic_write(str(path), b'old')
    files.atomic_write(str(path), b'new')
    assert path.read_bytes() == b'new'
    assert [p.name for p in path.parent.iterdir()] == ['x.bin']


def failing(monkeypatch, error):

    def fail(*args):
        raise error

    monkeypatch.setattr(os, 'replace', fail)


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'x.bin'
    files.atomic_write(str(path), b'old')
    failing(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        files.atomic_write(str(path), b'new')
    assert path.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['x.bin']


@pytest.mark.parametrize('code', (errno.ENOSPC, errno.EACCES))
def test_full_or_locked_folder_is_one_line(tmp_path, monkeypatch, code):
    failing(monkeypatch, OSError(code, os.strerror(code)))
    with pytest.raises(InputError) as caught:
        files.atomic_write(str(tmp_path / 'x.bin'), b'new')
    assert str(caught.value) == (f'{tmp_path}: cannot write x.bin: '
                                 f'{os.strerror(code)}')
    assert list(tmp_path.iterdir()) == []


def test_part_name_has_rank_and_pid_in_the_same_folder(tmp_path, monkeypatch):
    seen = []
    replace = os.replace

    def watch(part, path):
        seen.append(part)
        replace(part, path)

    monkeypatch.setattr(os, 'replace', watch)
    files.atomic_write(str(tmp_path / 'x.bin'), b'new', rank=3)
    folder, name = os.path.split(seen[0])
    assert folder == str(tmp_path)
    assert name.startswith(f'.part-r3-p{os.getpid()}-')


def test_only_dead_parts_of_the_same_rank_are_removed(tmp_path):
    child = subprocess.Popen([sys.executable, '-c', ''])
    child.wait()
    (tmp_path / 'sub').mkdir()
    dead = tmp_path / 'sub' / f'.part-r0-p{child.pid}-0'
    other_rank = tmp_path / f'.part-r1-p{child.pid}-0'
    alive = tmp_path / f'.part-r0-p{os.getppid()}-0'
    reused = tmp_path / f'.part-r0-p{os.getpid()}-12345'
    image = tmp_path / 'part-r0.png'
    for path in (dead, other_rank, alive, reused, image):
        path.write_bytes(b'x')
    assert files.remove_leftovers(str(tmp_path), rank=0) == 2
    left = sorted(p.name for p in tmp_path.rglob('*') if p.is_file())
    assert left == sorted(p.name for p in (other_rank, alive, image))


def test_json(tmp_path):
    path = tmp_path / 'x.json'
    files.write_json(str(path), dict(a=1))
    assert path.read_text() == '{\n "a": 1\n}\n'
    files.write_json(str(path), dict(a=1), indent=None)
    assert path.read_text() == '{"a": 1}\n'
    path.write_text('{"a": [1, "\u00e9"]}', encoding='utf-8')
    assert files.read_json(str(path)) == {'a': [1, '\u00e9']}
    for content in (b'{"a"', b'\xff', b'[' * 100000):
        path.write_bytes(content)
        with pytest.raises(InputError, match='x.json: not JSON'):
            files.read_json(str(path))
    with pytest.raises(InputError, match='directory'):
        files.read_json(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        files.read_json(str(tmp_path / 'y.json'))
