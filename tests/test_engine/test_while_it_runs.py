# Copyright (c) group_wsss contributors. All rights reserved.
"""Two processes: one draws and speaks, none waits, nothing changes."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name('while_it_runs_worker.py')


@pytest.fixture(scope='module')
def root(tiny_voc, tmp_path_factory):
    root = tmp_path_factory.mktemp('two')
    env = dict(
        os.environ,
        OMP_NUM_THREADS='1',
        CUDA_VISIBLE_DEVICES='',
        DATA_ROOT=str(tiny_voc))
    env['PYTHONPATH'] = os.pathsep.join(p for p in sys.path if p)
    jobs = [
        subprocess.Popen(
            [sys.executable, str(WORKER),
             str(root), str(rank)],
            cwd=root,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True) for rank in range(2)
    ]
    try:
        texts = [job.communicate(timeout=240)[0] for job in jobs]
        codes = [job.returncode for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    assert codes == [0, 0], texts
    return root, texts


def load(root, sheets, rank):
    return torch.load(root / f'{sheets}-{rank}.pth', weights_only=False)


def test_only_the_first_draws(root):
    root, _ = root
    found = sorted(path.name for path in root.rglob('class_maps*'))
    assert found == ['class_maps_1.png', 'class_maps_2.png']
    for rank in range(2):
        off, on = load(root, 0, rank), load(root, 1, rank)
        assert off['losses'] == on['losses']
        for name, value in off['weights'].items():
            assert torch.equal(value, on['weights'][name]), name


def test_loss_is_the_mean_of_both(root):
    root, texts = root
    losses = [load(root, 1, rank)['losses'] for rank in range(2)]
    assert losses[0] != losses[1] and len(losses[0]) == 4
    # four images each as anchors, two groups a batch: two iterations
    mean = [
        sum(part[2 * i] + part[2 * i + 1] for part in losses) / 4
        for i in range(2)
    ]
    log, = Path(load(root, 1, 0)['log_dir']).glob('*.log')
    lines = re.findall(r'epoch \d/2  loss (\S+)', log.read_text())
    assert lines == [f'{value:#.3g}' for value in mean]
    # once a training, by one of the processes
    for text, count in zip(texts, (2, 0)):
        assert text.count('epoch 1/2  loss') == count
        assert text.count('Written to') == count
