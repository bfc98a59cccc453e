# Copyright (c) group_wsss contributors. All rights reserved.
"""Processes killed, signalled and deprived of their disk.

A bounded part of tests/stress/interruptions.py, which kills at random
moments on all roads.
"""
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from group_wsss.contrib.reliability import PREEMPTED

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'tests' / 'configs' / 'tiny_group_cam.py'
OPTIONS = [
    '--cfg-options', 'train_cfg.max_iters=12',
    'train_dataloader.num_workers=1',
    'train_dataloader.persistent_workers=True',
    'default_hooks.checkpoint.interval=3',
    'default_hooks.checkpoint.max_keep_ckpts=1'
]  # yapf: disable


@pytest.fixture(scope='module')
def harness():
    """The functions of the harness that look at files."""
    path = ROOT / 'tests' / 'stress' / 'interruptions.py'
    spec = importlib.util.spec_from_file_location('interruptions', path)
    module = importlib.util.module_from_spec(spec)
    old = sys.path.copy()
    # dataclasses look their module up
    sys.modules['interruptions'] = module
    spec.loader.exec_module(module)
    sys.path[:] = old
    yield module
    del sys.modules['interruptions']


@pytest.fixture
def start(tiny_voc, tmp_path):
    """Start training in ``tmp_path/work``, in a process group of its own."""
    data = tmp_path / 'data'
    shutil.copytree(tiny_voc, data)
    shutil.rmtree(data / 'SegmentationClass')
    env = dict(
        os.environ,
        DATA_ROOT=str(data),
        TRAIN_LIST='ImageSets/train_cls.txt',
        PYTHONUNBUFFERED='1')

    def run(*words):
        return subprocess.Popen([
            sys.executable, ROOT / 'tools' / 'train.py', CONFIG, '--work-dir',
            tmp_path / 'work', *words, *OPTIONS
        ],
                                env=env,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT,
                                text=True,
                                start_new_session=True)

    return run


def send_at(process, number, word):
    """Send a signal to the whole group when a line has a word."""
    text = ''
    for line in process.stdout:
        text += line
        if word in line:
            os.killpg(process.pid, number)
            started = time.perf_counter()
            text += process.communicate()[0]
            return text, time.perf_counter() - started
    raise AssertionError(text)


@pytest.mark.slow
def test_signalled_and_killed(start, harness, tmp_path):
    work = tmp_path / 'work'
    process = start()
    text, _ = process.communicate()
    assert process.returncode == 0, text
    shutil.move(work, tmp_path / 'whole')

    # SIGTERM to all processes, loader worker included
    process = start()
    text, seconds = send_at(process, signal.SIGTERM, 'Iter(train) [ 4/12]')
    assert process.returncode == PREEMPTED, text
    assert seconds < 30 and 'Traceback' not in text
    lines = [line for line in text.splitlines() if 'to go on: ' in line]
    assert len(lines) == 1 and lines[0].endswith('--resume')
    assert 'SIGTERM: iteration ' in lines[0] and str(CONFIG) in lines[0]
    counts, wrong = harness.inspect(work)
    assert not wrong and counts['.pth'] == 2

    # SIGKILL in training, and again while labels are written
    for word in ('Iter(train) [ 8/12]', 'writing pseudo labels'):
        process = start('--resume')
        text, _ = send_at(process, signal.SIGKILL, word)
        assert process.returncode == -signal.SIGKILL
        assert 'Iter(train) [ 1/12]' not in text
        counts, wrong = harness.inspect(work)
        assert not wrong and counts['last_checkpoint'] == 1
        assert not (work / 'pseudo_labels' / 'manifest.json').exists()

    process = start('--resume')
    text, _ = process.communicate()
    assert process.returncode == 0, text
    assert harness.inspect(work)[1] == []
    # labels byte by byte, weights and generators bit by bit
    assert harness.compare(str(tmp_path / 'whole'), str(work)) == []


def test_harness_sees_what_is_wrong(harness, tmp_path):
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'a.json').write_text('{}\n')
    one, two = str(tmp_path / 'one'), str(tmp_path / 'two')
    assert harness.compare(one, two) == [] and harness.inspect(one)[1] == []
    (tmp_path / 'two' / 'a.json').write_text('{"a"')
    assert harness.compare(one, two) == ['a.json: differs in bytes']
    assert 'a.json: JSONDecodeError' in harness.inspect(two)[1][0]
    (tmp_path / 'two' / 'b.npz').write_bytes(b'PK')
    (tmp_path / 'two' / 'c.png').write_bytes(b'\x89PNG\r\n')
    (tmp_path / 'two' / 'd.pth').write_bytes(b'')
    (tmp_path / 'two' / 'last_checkpoint').write_text('e.pth')
    (tmp_path / 'two' / 'ids.txt').write_text('x\n')
    (tmp_path / 'two' / 'manifest.json').write_text('{}')
    (tmp_path / 'two' / '.part-r0-p1-0').write_bytes(b'hidden')
    assert len(harness.inspect(two)[1]) == 6
    assert len(harness.compare(one, two)) == 7


@pytest.fixture(scope='module')
def faults(tmp_path_factory):
    """What tests/disk_worker.py saw; by fault and writer."""
    root = tmp_path_factory.mktemp('faults')
    env = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join(
            [str(ROOT / 'projects'),
             os.environ.get('PYTHONPATH', '')]))
    try:
        done = subprocess.run([
            'unshare', '-rm', sys.executable, ROOT / 'tests/disk_worker.py',
            root
        ],
                              env=env,
                              capture_output=True,
                              text=True,
                              timeout=300)
    except FileNotFoundError:
        pytest.skip('there is no unshare')
    if done.returncode == 77 or 'unshare' in done.stderr[:20]:
        pytest.skip('no file system can be mounted here')
    assert done.returncode == 0, done.stderr
    rows = json.loads((root / 'rows.json').read_text())
    return {(row['fault'], row['writer']): row for row in rows}


WORDS = {
    'full': 'No space left on device',
    'read-only': 'Read-only file system',
    'vanished': 'was its disk unmounted?'
}


@pytest.mark.slow
@pytest.mark.parametrize('writer',
                         ['checkpoint', 'dump', 'converter', 'exporter'])
@pytest.mark.parametrize('fault', WORDS)
def test_disk_that_fails(faults, fault, writer):
    row = faults[fault, writer]
    assert row['is_input_error'], row
    assert '\n' not in row['line'] and '/disk' in row['line']
    reasons = [WORDS[fault]]
    if fault == 'vanished':
        reasons.append('No such file or directory')
    assert any(reason in row['line'] for reason in reasons), row['line']
    # the state before is as it was; nothing new can be mistaken for a result
    assert row['lost'] == []
    visible = [
        name for name in row['new']
        if not any(part.startswith('.') for part in Path(name).parts)
    ]
    assert visible == []
