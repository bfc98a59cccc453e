# Copyright (c) group_wsss contributors. All rights reserved.
import sys

import pytest

from group_wsss.utils import progress
from group_wsss.utils.errors import InputError
from group_wsss.utils.progress import VARIABLE, Progress, human_seconds


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    time = type('Time', (), dict(now=100.0))
    time.perf_counter = staticmethod(lambda: time.now)
    monkeypatch.setattr(progress, 'time', time)
    monkeypatch.delenv(VARIABLE, raising=False)
    return time


def work(clock, tell, seconds, total=10):
    """A step of work after another."""
    for done in range(1, total + 1):
        clock.now += seconds
        tell(done, total)


def test_a_line_a_minute_in_a_log(clock, capsys):
    work(clock, Progress('masks'), 25)
    out, err = capsys.readouterr()
    assert not out and '\r' not in err
    # at 75, 150, 225 and 250 seconds; 250 - t are left
    assert err.splitlines() == [
        'masks: 3/10, 3 min left', 'masks: 6/10, 2 min left',
        'masks: 9/10, 25 s left', 'masks: 10/10, 0 s left'
    ]


def test_as_often_as_asked(clock, capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, '0')
    work(clock, Progress(), 0.001)
    assert len(capsys.readouterr().err.splitlines()) == 10
    monkeypatch.setenv(VARIABLE, '10')
    work(clock, Progress(), 4)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split('/')[0] for line in lines] == ['3', '6', '9', '10']


def test_quiet_when_short(clock, capsys):
    tell = Progress()
    work(clock, tell, 0.19)
    assert capsys.readouterr().err == ''
    work(clock, tell, 0.21)
    assert capsys.readouterr().err == '10/10, 0 s left\n'
    work(clock, tell, 30)
    capsys.readouterr()
    work(clock, tell, 0.1)  # each work has a time of its own
    assert capsys.readouterr().err == ''
    work(clock, tell, 61, total=2)
    assert capsys.readouterr().err.splitlines() == [
        '1/2, 61 s left', '2/2, 0 s left'
    ]


def test_terminal_is_written_over(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    work(clock, Progress('x'), 100)
    err = capsys.readouterr().err
    assert err.count('\r') == 9 and err.count('\n') == 1
    lines = err.replace('\n', '\r').split('\r')[:-1]
    assert lines[0] == 'x: 1/10, 15 min left'
    # nothing of a longer line stays
    for line, following in zip(lines, lines[1:]):
        assert len(following) >= len(line.rstrip())


def test_over_gives_the_items(clock, capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, '0')
    seen = Progress().over(iter('abc'), 3)
    assert next(seen) == 'a' and capsys.readouterr().err == ''
    # a step is done when the next one is asked for
    assert next(seen) == 'b' and '1/3' in capsys.readouterr().err
    assert list(seen) == ['c'] and '3/3' in capsys.readouterr().err


@pytest.mark.parametrize('text', ('x', '-1', 'nan', 'inf'))
def test_bad_variable(text, monkeypatch):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(InputError, match=f'{VARIABLE}={text}'):
        Progress()


@pytest.mark.parametrize('seconds, text',
                         ((0, '0 s'), (99.4, '99 s'), (100, '2 min'),
                          (5939, '99 min'), (6000, '1 h 40 min'),
                          (7500, '2 h 05 min'), (360000, '100 h 00 min')))
def test_human_seconds(seconds, text):
    assert human_seconds(seconds) == text
