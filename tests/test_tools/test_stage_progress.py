# Copyright (c) group_wsss contributors. All rights reserved.
"""tools/misc: stages that run again or not, and what is told of time."""
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from group_wsss.utils.errors import InputError

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
NAMES, SHARES = ('a', 'b', 'c'), (10., 20., 40.)


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS / 'misc'))
    monkeypatch.syspath_prepend(str(TOOLS))


@pytest.fixture
def progress(monkeypatch):
    """Of a stage, with a clock that is set by hand."""
    import stage_progress
    clock = type('Time', (), dict(now=100.0))
    clock.perf_counter = staticmethod(lambda: clock.now)
    monkeypatch.setattr(stage_progress, 'time', clock)
    monkeypatch.delenv('GROUP_WSSS_PROGRESS', raising=False)

    def make(number, shares=SHARES, **seconds):
        records = {name: dict(seconds=s) for name, s in seconds.items()}
        made = stage_progress.StageProgress(number, NAMES, shares, records)
        made.clock = clock
        return made

    return make


@pytest.mark.parametrize('said, told', [
    ('11/27 - mmengine - INFO - Iter(train) [ 50/300]  base_lr: 1 lr: 1  '
     'eta: 0:02:05  time: 1  loss: 0.5  loss_cam: 0.1',
     'c 50/300, 2 min left, loss 0.5'),
    ('Epoch(train)  [3][ 5/10]  lr: 1  eta: 1 day, 1:00:00  loss: 2',
     'c 5/10, 25 h 00 min left, loss 2'),
    ('Iter(test) [12/32]    eta: 0:00:07  time: 0.1', 'c (test) 12/32, 7 s '
     'left'),
    ('12/300, 1 h 05 min left', 'c 12/300, 65 min left'),
    ('masks: 3/10, 41 s left', 'c (masks) 3/10, 41 s left'),
    ('Iter(val) [1/2]  eta: 0:00:01', None),
    ('resumed epoch: 0, iter: 4', None),
    ('Iter(test) [32/32] mIoU: 3  time: 0.1', None),
    ('', None),
])
def test_what_commands_say(said, told, progress):
    assert progress(3).line(said) == (told and f'stage 3 of 3: {told}')


def test_time_left_in_all(progress):
    # measured: 10 for a, 20 for b, 40 for c; here a took 60 seconds
    now = progress(2, a=60.)
    now.clock.now += 20
    # b: 20 s are over, 40 s left; so 120 s for 30, and 160 for the last
    assert now.line('2/6, 40 s left').endswith('40 s left, 3 min in all')
    assert now.left_in_all(40) == pytest.approx(200)
    assert progress(1).left_in_all(5) == pytest.approx(35)
    # nothing is made up: no measurement of a later stage, none of this one
    assert progress(1, (10., None, 40.)).left_in_all(5) is None
    assert progress(2, (10., None, 40.), a=30.).left_in_all(5) is None
    # what was not measured and is over does no harm
    assert progress(2, (None, 20., 40.), a=30.).left_in_all(5) == 15


def test_not_too_often(progress, capsys, monkeypatch):

    def lines(made, steps):
        for done in range(1, steps + 1):
            made.clock.now += 10
            made.show(f'{done}/{steps}, 1 s left')
        made.wipe()
        return capsys.readouterr().out

    text = lines(progress(3), 7)  # after 10, 40 and 70 seconds
    assert [line.split()[5] for line in text.splitlines()
            ] == ['1/7,', '4/7,', '7/7,'] and '\r' not in text
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    assert len(lines(progress(3), 7).splitlines()) == 7
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    text = lines(progress(3), 12)
    assert text.count('\r') == 14 and '\n' not in text
    # at the end nothing is left on the line
    assert text.split('\r')[-2].strip() == '' and text.endswith('\r')


def test_shares_are_of_all_stages():
    import quickstart
    args = type(
        'Args', (),
        dict(work_dir='w', data='d', smoke=False, seed=0, compare=True))
    stages = quickstart.plan(args)
    assert len(stages) == 11 and all(stage.share for stage in stages)


def test_what_a_stage_says_is_passed_on(tmp_path, monkeypatch, capsys):
    from stages import Stage, run_stages
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    code = ('import sys; sys.path.insert(0, sys.argv[1]); '
            'from group_wsss.utils.progress import Progress; '
            'list(Progress("maps").over([1, 2], 2)); '
            'print("Iter(train) [2/3] lr: 1  eta: 0:02:05  loss: 0.5 x: 1"); '
            'print("Iter(val) [2/3]  eta: 0:00:05"); print("else")')
    command = [sys.executable, '-c', code, str(TOOLS.parent / 'projects')]
    run_stages([Stage('one', 'a stage', command, {}, [])], str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [
        '[1/1] a stage', '  stage 1 of 1: one (maps) 1/2, 0 s left',
        '  stage 1 of 1: one (maps) 2/2, 0 s left',
        '  stage 1 of 1: one 2/3, 2 min left, loss 0.5'
    ]


@pytest.fixture
def run(tmp_path):
    """Run a stage that appends to ``one/out``."""
    from stage_progress import StageProgress
    from stages import Stage, run_stage
    folder = tmp_path / 'one'
    code = ('import pathlib, sys; p = pathlib.Path(sys.argv[1]); '
            'p.mkdir(exist_ok=True); (p / "out").open("a").write("x")')

    def call(*words, before=None, **env):
        command = [sys.executable, '-c', code, str(folder), *words]
        stage = Stage('one', 'a stage', command, env, list(before or ()), '',
                      folder, ['out'])
        return run_stage(stage, str(tmp_path), before or {},
                         StageProgress(1, ['one'], [None], {}))

    return call


def test_stage_runs_again_when_something_changes(tmp_path, run):
    folder = tmp_path / 'one'
    first = run('a')
    assert first['done'] and (folder / 'out').read_text() == 'x'
    # the same: skipped; another word or another stage before: from scratch
    run('a')
    assert (folder / 'out').read_text() == 'x'
    second = run('b')
    assert second['fingerprint'] != first['fingerprint']
    assert (folder / 'out').read_text() == 'x'
    (folder / 'kept').touch()
    before = {'zero': dict(fingerprint='z')}
    third = run('b', before=before)
    assert third['fingerprint'] != second['fingerprint']
    assert not (folder / 'kept').exists()
    # a lost output too
    (folder / 'out').unlink()
    run('b', before=before)
    assert (folder / 'out').exists()


def test_results_of_others_are_left_alone(tmp_path, run):
    run('--nproc', '1', '-k', DATA_ROOT='a')
    with pytest.raises(InputError, match='one: made of a and not of b: remov'):
        run('--nproc', '1', '-k', DATA_ROOT='b')
    # more processes change no byte
    (tmp_path / 'one/kept').touch()
    run('--nproc', '2', '-k', DATA_ROOT='a')
    assert (tmp_path / 'one/kept').exists()
    (tmp_path / 'stages/one.json').unlink()
    with pytest.raises(InputError, match='not made by this command'):
        run('a')
    assert (tmp_path / 'one/out').exists()


PREEMPTED = '''
import os, signal, sys, time
def save(number, frame):
    print(f'saved on {number}', flush=True)
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
print('1/2, 3 s left', flush=True)
time.sleep(60)
'''


def test_a_batch_system_takes_the_machine(tmp_path):
    """SIGTERM reaches the stage, which saves; the status says: try again."""
    script = tmp_path / 'recipe.py'
    script.write_text(f'''
import sys
sys.path[:0] = {[str(TOOLS.parent / 'projects'), str(TOOLS / 'misc')]!r}
from stages import Stage, run_stages
from group_wsss.utils import cli
cli.heed_preemption()
command = [sys.executable, '-c', {PREEMPTED!r}]
stage = Stage('one', 'a stage', command, {{}}, [])
cli.run(lambda: run_stages([stage], {str(tmp_path)!r}))
''')
    process = subprocess.Popen([sys.executable, script],
                               stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT,
                               text=True)
    for line in process.stdout:
        if ' left' in line:
            process.send_signal(signal.SIGTERM)
            break
    rest = process.communicate()[0]
    assert process.returncode == 75, rest
    assert rest.strip().startswith('interrupted: ') and 'Trace' not in rest
    log = (tmp_path / 'stages' / 'one.log').read_text()
    assert log.endswith(f'saved on {signal.SIGTERM.value}\n')
    marker = json.loads((tmp_path / 'stages' / 'one.json').read_text())
    assert marker['interruptions'] == 1 and not marker['done']


def test_what_a_killed_command_has_left_is_waited_for(tmp_path, monkeypatch):
    """Two trainings that write the same files would give neither."""
    import stages
    script = tmp_path / 'recipe.py'
    script.write_text(f'''
import sys
sys.path[:0] = {[str(TOOLS.parent / 'projects'), str(TOOLS / 'misc')]!r}
from stages import Stage, run_stages
child = 'import time; print("1/2, 3 s left", flush=True); time.sleep(60)'
command = [sys.executable, '-c', child]
run_stages([Stage('one', 'a stage', command, {{}}, [])], {str(tmp_path)!r})
''')
    process = subprocess.Popen([sys.executable, script],
                               stdout=subprocess.PIPE,
                               text=True,
                               start_new_session=True)
    while ' left' not in process.stdout.readline():
        pass
    process.kill()
    process.wait()
    command = [sys.executable, '-c', 'pass']
    again = [stages.Stage('one', 'a stage', command, {}, [])]
    monkeypatch.setattr(stages, '_LOCK_SECONDS', 0.3)
    try:
        with pytest.raises(InputError) as caught:
            stages.run_stages(again, str(tmp_path))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert str(caught.value) == (
        f'{tmp_path}: another command is at work there: wait for it, or stop '
        f'it (process group {process.pid})')
    monkeypatch.undo()
    assert stages.run_stages(again, str(tmp_path))['one']['done']


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    import stages

    def flock(file, operation):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr('fcntl.flock', flock)
    stage = stages.Stage('one', 'a stage', [sys.executable, '-c', 'pass'], {},
                         [])
    assert stages.run_stages([stage], str(tmp_path))['one']['done']
