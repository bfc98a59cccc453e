# Copyright (c) group_wsss contributors. All rights reserved.
"""Two processes: one draws and speaks, none waits, nothing changes."""
import re
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def root(tiny_voc, tmp_path_factory, run_worker):
    root = tmp_path_factory.mktemp('two')
    run_worker('while_it_runs_worker.py', root, tiny_voc)
    return root


def load(root, sheets, rank):
    return torch.load(root / f'{sheets}-{rank}.pth', weights_only=False)


def test_only_the_first_draws(root):
    found = sorted(path.name for path in root.rglob('class_maps*'))
    assert found == ['class_maps_1.png', 'class_maps_2.png']
    for rank in range(2):
        off, on = load(root, 0, rank), load(root, 1, rank)
        assert off['losses'] == on['losses']
        for name, value in off['weights'].items():
            assert torch.equal(value, on['weights'][name]), name


def test_loss_is_the_mean_of_both(root):
    losses = [load(root, 1, rank)['losses'] for rank in range(2)]
    assert losses[0] != losses[1] and len(losses[0]) == 4
    # four images each as anchors, two groups a batch: two iterations
    mean = [
        sum(part[2 * i] + part[2 * i + 1] for part in losses) / 4
        for i in range(2)
    ]
    log, = Path(load(root, 1, 0)['log_dir']).glob('*.log')
    lines = re.findall(r'epoch \d/2  loss (\S+)', log.read_text())
    assert [float(x) for x in lines] == pytest.approx(mean, rel=1e-9)
    # once a training, by one of the processes
    for rank, count in enumerate((2, 0)):
        text = (root / f'{rank}.txt').read_text()
        assert text.count('epoch 1/2  loss') == count
        assert text.count('Written to') == count
