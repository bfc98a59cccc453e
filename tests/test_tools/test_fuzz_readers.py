# Copyright (c) group_wsss contributors. All rights reserved.
import importlib.util
import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from group_wsss.utils.errors import InputError

PATH = Path(__file__).parents[1] / 'stress' / 'fuzz_readers.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('fuzz_readers', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_reader(tool, tmp_path):
    """A few files of each format, in this process."""
    for name, form in tool.formats(str(tmp_path)).items():
        path = tmp_path / form.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(form.good)
        assert tool.outcome(form.read, str(path)) == 'read', name
        rng = random.Random(f'{name} 7')
        inside = form.good[:4] in (b'\x89PNG', b'PK\3\4')
        for case in range(25):
            change = tool.mutate_inside if inside and case % 2 else tool.mutate
            path.write_bytes(change(form.good, rng))
            found = tool.outcome(form.read, str(path))
            assert found in ('read', 'refused'), (name, case)
        path.write_bytes(form.good)


def test_what_goes_wrong_is_seen(tool, tmp_path, monkeypatch):

    def two_lines(path):
        raise InputError('a\nb')

    monkeypatch.setattr(tool, 'TIMERS',
                        ((signal.SIGALRM, signal.ITIMER_REAL, .05), ))
    pipe = str(tmp_path / 'pipe')
    os.mkfifo(pipe)
    assert tool.outcome(lambda path: open(path), pipe) == 'hang'
    assert tool.outcome(two_lines, '') == 'two lines'
    assert tool.outcome(lambda path: {}[path], 'a').startswith('KeyError')
    assert tool.outcome(len, '') == 'read'


def test_a_process_that_dies(tool, tmp_path, monkeypatch):

    def odd(path):
        return Path(path).read_bytes() == b'abc'

    form = tool.Format('a.txt', b'abc', lambda path: None)
    forms = dict(good=form, bad=form._replace(read=lambda path: 1 / odd(path)))
    monkeypatch.setattr(tool, 'formats', lambda folder: forms)
    out, keep = tmp_path / 'out.json', tmp_path / 'keep'
    monkeypatch.setattr(sys, 'argv', [
        'x', '--cases', '20', '--out', str(out), '--keep', str(keep)
    ])  # yapf: disable
    with pytest.raises(SystemExit):
        tool.main()
    rows = json.loads(out.read_text())
    assert rows['cases'] == 20 and rows['failed'] == 10
    assert rows['formats']['good']['read'] == 10
    kept, = rows['formats']['bad']['failures'].values()
    assert Path(kept).read_bytes() != b'abc'
    forms['dies'] = form._replace(
        read=lambda path: None if odd(path) else os._exit(9))
    row = tool.run_format('dies', 5, 0, str(tmp_path))
    assert row['failures'] == {'the process ended with 9': str(tmp_path)}
