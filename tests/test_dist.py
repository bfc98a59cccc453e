# Copyright (c) group_wsss contributors. All rights reserved.
"""Two machines train on CPUs; launchers hand arguments on."""
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'tests' / 'configs' / 'tiny_group_cam.py'
NUM_IMAGES = 7  # odd: one of two ranks repeats an image

pytestmark = [
    pytest.mark.skipif(
        not torch.distributed.is_available()
        or not torch.distributed.is_gloo_available(),
        reason='this torch has no gloo'),
    pytest.mark.skipif(torch.cuda.is_available(), reason='for CPUs')
]


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


def launch(script, *words, data, cwd, **variables):
    """Start a launcher as a user does."""
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH']
    env = dict(
        os.environ,
        PATH=path,
        PORT=str(free_port()),
        OMP_NUM_THREADS='1',
        DATA_ROOT=str(data),
        TRAIN_LIST='list.txt')
    env.pop('PYTHONPATH', None)
    env.update(variables)
    return subprocess.Popen(
        ['bash', str(ROOT / 'tools' / script), *map(str, words)],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True)


@pytest.fixture(scope='module')
def trained(odd_voc, tmp_path_factory):
    """Work dir of a training by two machines of one process each."""
    cwd = tmp_path_factory.mktemp('two')
    port = str(free_port())
    words = ['dist_train.sh', CONFIG, 1, '--work-dir', cwd / 'train']
    env = dict(NNODES='2', MASTER_ADDR='127.0.0.1', PORT=port)
    jobs = [
        launch(*words, data=odd_voc, cwd=cwd, NODE_RANK=rank, **env)
        for rank in '01'
    ]
    try:
        text, other = (job.communicate(timeout=300)[0] for job in jobs)
    finally:
        for job in jobs:
            job.kill()
    assert [job.returncode for job in jobs] == [0, 0], (text + other)[-4000:]
    assert ', 2 processes\n' in text
    assert 'Iter(train) [2/2]' in text
    # one of the two speaks, and the end of the training dumps as well
    assert text.count(f'{NUM_IMAGES} label images in') == 1
    assert 'Iter(train)' not in other and 'label images in' not in other
    return cwd / 'train'


@pytest.fixture(scope='module')
def checkpoint(trained):
    """What was trained, with class maps large enough to tell images apart."""
    path = trained / 'strong.pth'
    content = torch.load(trained / 'iter_2.pth', weights_only=False)
    generator = torch.Generator().manual_seed(0)
    weight = content['state_dict']['head.classifier.weight']
    weight.copy_(torch.randn(weight.shape, generator=generator))
    torch.save(content, path)
    return path


@pytest.mark.slow
def test_training_by_two_machines(trained):
    files = {p.name for p in (trained / 'pseudo_labels').iterdir()}
    names = {f'odd_{i}.png' for i in range(NUM_IMAGES)}
    assert files == names | {'ids.txt', 'manifest.json'}
    manifest = (trained / 'pseudo_labels/manifest.json').read_text()
    assert json.loads(manifest)['images'] == NUM_IMAGES
    assert json.loads(manifest)['checkpoint']['name'] == 'iter_2.pth'


@pytest.mark.slow
@pytest.mark.parametrize('keep_ratio', [True, False])
def test_labels_of_another_batch_size(keep_ratio, checkpoint, odd_voc,
                                      monkeypatch, tmp_path, call_tool,
                                      capsys):
    monkeypatch.setenv('DATA_ROOT', str(odd_voc))
    monkeypatch.setenv('TRAIN_LIST', 'list.txt')
    labels = []
    for size in (1, 2):
        work_dir = tmp_path / str(size)
        # images that keep their shape: a group holds different sizes
        call_tool(
            'test', CONFIG, checkpoint, '--work-dir', work_dir,
            '--cfg-options', 'group_size=3', 'train_dataloader.batch_size=6',
            'test_dataloader.dataset.dataset.pipeline.1.keep_ratio='
            f'{keep_ratio}', f'test_dataloader.batch_size={size}')
        paths = sorted((work_dir / 'pseudo_labels').glob('*.png'))
        labels.append([np.asarray(Image.open(path)) for path in paths])
    assert len(labels[0]) == len(labels[1]) == NUM_IMAGES
    # labels that tell something: background and a class
    assert sum(len(np.unique(label)) > 1 for label in labels[0]) >= 5
    for one, two in zip(*labels):
        # up to a pixel that lies on the threshold
        assert one.shape == two.shape and (one != two).mean() < 2e-3


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
def test_a_rank_that_dies_is_named(odd_voc, tmp_path):
    (tmp_path / 'dying_rank.py').write_text(DYING)
    (tmp_path / 'config.py').write_text(
        f"_base_ = ['{CONFIG}']\n"
        "custom_imports = dict(imports=['group_wsss', 'dying_rank'])\n"
        "custom_hooks = [dict(type='DyingRank')]\n")
    words = ['dist_train.sh', tmp_path / 'config.py', 2]
    env = dict(PYTHONPATH=str(tmp_path))
    job = launch(*words, data=odd_voc, cwd=tmp_path, **env)
    text, _ = job.communicate(timeout=300)
    assert job.returncode != 0
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
        PATH=f'{tmp_path}{os.pathsep}' + os.environ['PATH'],
        GPUS=16,
        GPUS_PER_NODE=8,
        CPUS_PER_TASK=3,
        SRUN_ARGS='--quotatype=spot --comment x',
        PY_ARGS='--work-dir w')
    assert done.returncode == 0, done.stderr
    path, *asked = done.stdout.split('\n')[:-1]
    assert path == str(ROOT / 'projects')
    end = asked.index('python')
    assert asked[:end] == [
        '-p', 'part', '--job-name=job', '--gres=gpu:8', '--ntasks=16',
        '--ntasks-per-node=8', '--cpus-per-task=3', '--kill-on-bad-exit=1',
        '--quotatype=spot', '--comment', 'x'
    ]
    tool = str(ROOT / 'tools' /
               script.replace('slurm_', '').replace('.sh', '.py'))
    assert asked[end:] == [
        'python', '-u', tool, *words[2:-1], '--launcher=slurm', '--work-dir',
        'w', words[-1]
    ]
