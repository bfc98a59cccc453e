# Copyright (c) group_wsss contributors. All rights reserved.
"""Two machines train on CPUs; launchers hand arguments on."""
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'tests' / 'configs' / 'tiny_group_cam.py'

pytestmark = [
    pytest.mark.skipif(
        not torch.distributed.is_available()
        or not torch.distributed.is_gloo_available(),
        reason='this torch has no gloo'),
    pytest.mark.skipif(torch.cuda.is_available(), reason='for CPUs')
]


@pytest.fixture
def launch(odd_voc, tmp_path):
    """Start dist_train.sh as a user does, once for each set of variables."""

    def call(*words, variables):
        with socket.socket() as sock:
            sock.bind(('127.0.0.1', 0))
            port = sock.getsockname()[1]
        path = os.path.dirname(sys.executable)
        env = dict(
            os.environ,
            PATH=f'{path}{os.pathsep}{os.environ["PATH"]}',
            PORT=str(port),
            DATA_ROOT=str(odd_voc),
            TRAIN_LIST='list.txt')
        env.pop('PYTHONPATH', None)
        script = ROOT / 'tools' / 'dist_train.sh'
        jobs = [
            subprocess.Popen(['bash', script, *map(str, words)],
                             cwd=tmp_path,
                             env=dict(env, **more),
                             stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT,
                             text=True) for more in variables
        ]
        try:
            texts = [job.communicate(timeout=300)[0] for job in jobs]
        finally:
            for job in jobs:
                job.kill()
        return [job.returncode for job in jobs], texts

    return call


@pytest.mark.slow
def test_training_by_two_machines(launch, tmp_path):
    """Of one process each."""
    codes, (text, other) = launch(
        CONFIG,
        1,
        '--work-dir',
        tmp_path / 'train',
        variables=[
            dict(NNODES='2', NODE_RANK=rank, MASTER_ADDR='127.0.0.1')
            for rank in '01'
        ])
    assert codes == [0, 0], (text + other)[-4000:]
    assert ', 2 processes\n' in text
    assert 'Iter(train) [2/2]' in text
    # one of the two speaks, and the end of the training dumps as well
    assert text.count('7 label images in') == 1
    assert 'Iter(train)' not in other and 'label images in' not in other
    dump = tmp_path / 'train/pseudo_labels'
    names = {f'odd_{i}.png' for i in range(7)}
    assert {p.name
            for p in dump.iterdir()} == names | {'ids.txt', 'manifest.json'}
    manifest = json.loads((dump / 'manifest.json').read_text())
    assert manifest['images'] == 7
    assert manifest['checkpoint']['name'] == 'iter_2.pth'


DYING = """
import os
import signal

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class DyingRank(Hook):

    def after_train_iter(self, runner, *args, **kwargs):
        if get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_rank_that_dies_is_named(launch, tmp_path):
    (tmp_path / 'dying_rank.py').write_text(DYING)
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = ['{CONFIG}']\n"
        "custom_imports = dict(imports=['group_wsss', 'dying_rank'])\n"
        "custom_hooks = [dict(type='DyingRank')]\n")
    (code, ), (text, ) = launch(
        config, 2, variables=[dict(PYTHONPATH=str(tmp_path))])
    assert code != 0
    end = text[text.index('Root Cause'):]
    assert 'rank      : 1 ' in end and 'exitcode  : -9' in end
    assert 'SIGKILL' in end


@pytest.mark.parametrize('script, words', [
    ('slurm_train.sh', ['part', 'job', 'a b.py', '--amp']),
    ('slurm_test.sh', ['part', 'job', 'a b.py', 'c d.pth', '--tta']),
])
def test_what_slurm_is_asked_for(script, words, tmp_path, start):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$PYTHONPATH" "$@"\n')
    srun.chmod(0o755)
    done = start(
        'bash',
        ROOT / 'tools' / script,
        *words,
        cwd=tmp_path,
        PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
        GPUS=16,
        GPUS_PER_NODE=8,
        CPUS_PER_TASK=3,
        SRUN_ARGS='--quotatype=spot --comment x',
        PY_ARGS='--work-dir w')
    assert done.returncode == 0, done.stderr
    path, *asked = done.stdout.split('\n')[:-1]
    assert path == str(ROOT / 'projects')
    tool = script.replace('slurm_', '').replace('.sh', '.py')
    assert asked == [
        '-p', 'part', '--job-name=job', '--gres=gpu:8', '--ntasks=16',
        '--ntasks-per-node=8', '--cpus-per-task=3', '--kill-on-bad-exit=1',
        '--quotatype=spot', '--comment', 'x', 'python', '-u',
        str(ROOT / 'tools' / tool), *words[2:-1], '--launcher=slurm',
        '--work-dir', 'w', words[-1]
    ]
