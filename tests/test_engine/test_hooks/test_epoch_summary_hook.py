# Copyright (c) group_wsss contributors. All rights reserved.
import re
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook

from group_wsss.contrib.summaries import EpochSummaryHook, epoch_summary_hook


class Losses(Hook):
    """All losses in their order."""

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.seen.append(float(outputs['loss']))


class Scores(BaseMetric):
    default_prefix = 'multi-label'

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(mAP=87.123, share=np.float64(0.0123), table=[1, 2])


@pytest.fixture
def told(toy, monkeypatch):
    """Train; give the lines and the losses."""
    # all digits
    monkeypatch.setattr(epoch_summary_hook, '_short', repr)

    def do(hook=None, val=None, stopped=False, **kwargs):
        losses, lines = Losses(), []
        if val is not None:
            kwargs.update(
                val_cfg=dict(),
                val_evaluator=[Scores()],
                val_dataloader=dict(
                    batch_size=2,
                    num_workers=0,
                    dataset=toy.dataset(2, flips=(None, )),
                    sampler=dict(type='DefaultSampler', shuffle=False)))
        kwargs.setdefault('dataset', toy.dataset(5))
        runner = toy([hook or EpochSummaryHook(), losses], **kwargs)
        if val is not None:
            runner._train_loop['val_interval'] = val
        monkeypatch.setattr(runner.logger, 'info',
                            lambda text, *a, **k: lines.append(text))
        with pytest.raises(KeyboardInterrupt) if stopped else nullcontext():
            runner.train()
        return [s for s in lines
                if re.match('(epoch|iteration) ', s)], losses.seen

    return do


def numbers(line):
    found = re.search(r'loss (\S+)(?: \(was (\S+)\))?', line)
    return [float(x) for x in found.groups() if x is not None]


def test_mean_over_the_epoch(told):
    lines, losses = told(length=3)
    assert len(lines) == 3 and len(losses) == 9 and len(set(losses)) == 9
    mean = [sum(losses[i:i + 3]) / 3 for i in (0, 3, 6)]
    assert numbers(lines[0]) == pytest.approx(mean[:1], rel=1e-12)
    assert numbers(lines[1]) == pytest.approx([mean[1], mean[0]], rel=1e-12)
    assert numbers(lines[2]) == pytest.approx([mean[2], mean[1]], rel=1e-12)
    for i, line in enumerate(lines):
        assert line.startswith(f'epoch {i + 1}/3  loss ')
        assert '  lr 1.0e-01  ' in line and re.search(r'  \d+ s', line)
        assert ('  remaining ' in line) == (i < 2)
        assert re.search(r'  memory \d+\.\d [MG]B$', line)


def test_validation_is_in_the_line_of_its_epoch(told):
    lines, _ = told(length=3, val=2)
    shown = '  tag mAP 87.1  tag share 0.0123  lr '
    assert [shown in line for line in lines] == [False, True, True]
    assert [line[:9] for line in lines] == [f'epoch {i}/3' for i in (1, 2, 3)]
    lines, _ = told(
        EpochSummaryHook(metrics=['multi-label/share', 'none']),
        length=1,
        val=1)
    assert '  tag share 0.0123  lr ' in lines[0] and 'mAP' not in lines[0]


def test_iterations(told):
    # 5 images, two a batch: 3 iterations a pass
    lines, losses = told(by_epoch=False, length=8)
    assert [line.split()[1] for line in lines] == ['3/8', '6/8', '8/8']
    parts = [losses[:3], losses[3:6], losses[6:]]
    for i, line in enumerate(lines):
        wanted = [np.mean(parts[i])] + [np.mean(parts[i - 1])] * (i > 0)
        assert numbers(line) == pytest.approx(wanted, rel=1e-12)
    # by validation, which is there at the end too
    lines, losses = told(by_epoch=False, length=9, val=4)
    assert [line.split()[1] for line in lines] == ['4/9', '8/9', '9/9']
    assert all('tag mAP 87.1' in line for line in lines)
    assert numbers(lines[1]) == pytest.approx(
        [np.mean(losses[4:8]), np.mean(losses[:4])], rel=1e-12)
    # one that comes at the end alone says too little
    lines, _ = told(by_epoch=False, length=6, val=6)
    assert [line.split()[1] for line in lines] == ['3/6', '6/6']


def test_twenty_lines_at_most(told, toy):
    lines, _ = told(by_epoch=False, length=100, dataset=toy.dataset(2))
    assert len(lines) == 20


def test_resumed(told, toy):
    """What was trained before counts, and so does the epoch before."""
    model = toy.model()
    model.stop_after = 5
    told(by_epoch=False, length=8, model=model, stopped=True)
    lines, after = told(by_epoch=False, length=8, resume=True)
    assert [line.split()[1] for line in lines] == ['6/8', '8/8']
    whole, losses = told(by_epoch=False, length=8)
    assert after == pytest.approx(losses[5:])
    for line, other in zip(lines, whole[1:]):
        assert numbers(line) == pytest.approx(numbers(other), rel=1e-6)
        assert len(numbers(line)) == 2


def test_nothing_is_said_of_what_was_not_finished(told, toy):
    model = toy.model()
    model.stop_after = 4
    lines, _ = told(model=model, stopped=True)
    assert [line[:9] for line in lines] == ['epoch 1/4']


def test_off_and_every_second(told):
    assert told(EpochSummaryHook(interval=0), length=2)[0] == []
    lines, losses = told(EpochSummaryHook(interval=2), length=3)
    assert [line[:9] for line in lines] == ['epoch 2/3', 'epoch 3/3']
    assert numbers(lines[0]) == pytest.approx([np.mean(losses[:6])], rel=1e-12)


def test_diverged(told, toy):
    model = toy.model()
    torch.nn.init.constant_(model.weight, float('nan'))
    lines, _ = told(length=2, model=model)
    for i, line in enumerate(lines, 1):
        assert line.startswith(f'epoch {i}/2  loss nan  lr ')
    assert len(lines) == 2


@pytest.mark.parametrize('value, text',
                         ((0.2, '0.200'), (0.21349, '0.213'), (12.345, '12.3'),
                          (100.2, '100'), (0.0001, '0.000100'),
                          (1234567, '1.23e+06'), (float('nan'), 'nan')))
def test_short(value, text):
    assert epoch_summary_hook._short(value) == text
