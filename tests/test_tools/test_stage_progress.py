# Copyright (c) group_wsss contributors. All rights reserved.
"""What tools/make_labels.py and tools/quickstart.py tell of time."""
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
NAMES, SHARES = ('a', 'b', 'c'), (10., 20., 40.)


@pytest.fixture
def progress(monkeypatch):
    """Of a stage, with a clock that is set by hand."""
    monkeypatch.syspath_prepend(str(TOOLS / 'misc'))
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
])
def test_what_commands_say(said, told, progress):
    assert progress(3).line(said) == f'stage 3 of 3: {told}'


@pytest.mark.parametrize('said', ('Iter(val) [1/2]  eta: 0:00:01', 'resumed '
                                  'epoch: 0, iter: 4', 'Iter(test) [32/32] '
                                  'mIoU: 3  time: 0.1', ''))
def test_no_progress(said, progress):
    assert progress(1).line(said) is None


def test_time_left_in_all(progress):
    # measured: 10 for a, 20 for b, 40 for c; here a took 30 seconds
    now = progress(2, a=30.)
    now.clock.now += 20
    # b: 20 s are over, 40 s left; so 90 s for 30, and 120 for the last
    assert now.line('2/6, 40 s left').endswith('40 s left, 3 min in all')
    assert now.left_in_all(40) == pytest.approx(160)
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
    sys.path.insert(0, str(TOOLS))
    try:
        import quickstart
    finally:
        sys.path.remove(str(TOOLS))
    args = type(
        'Args', (),
        dict(work_dir='w', data='d', smoke=False, seed=0, compare=True))
    assert all(stage.share for stage in quickstart.plan(args))


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
import json
import signal
import subprocess
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
