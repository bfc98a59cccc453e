# Copyright (c) group_wsss contributors. All rights reserved.
import os
import re
from contextlib import nullcontext

import pytest
from mmengine.config import Config

from group_wsss.contrib.summaries import RunSummaryHook
from group_wsss.contrib.summaries.run_summary_hook import disk_size, shown
from group_wsss.engine import AttentionAccumulationHook, PseudoLabelHook

LABELER = dict(type='group_wsss.ThresholdLabeler', bg_threshold=.6)


@pytest.fixture
def run(toy, monkeypatch, tmp_path):
    """Train, give the runner and what is said at the end."""
    monkeypatch.chdir(tmp_path)

    def do(hook=None,
           others=(),
           fails=None,
           cfg=None,
           command='train',
           **kwargs):
        lines = []
        path = tmp_path / 'the config.py'
        path.write_text('next_step = None\n')
        config = Config.fromfile(path)
        config.merge_from_dict(cfg or {})
        runner = toy([hook or RunSummaryHook(), *others],
                     length=2,
                     cfg=config,
                     **kwargs)
        monkeypatch.setattr(runner.logger, 'info',
                            lambda text, *a, **k: lines.append(str(text)))
        with pytest.raises(fails) if fails else nullcontext():
            getattr(runner, command)()
        text = [line for line in lines if line.startswith('Written to')]
        assert len(text) <= 1
        return runner, text[0] if text else None

    return do


def rows(text):
    """Path and size by name."""
    found = re.findall(r'^  (\S.*?) +(work\S*.*?) \(([\d.]+ k?M?B)', text,
                       re.M)
    return {name: (path, size) for name, path, size in found}


def test_files_of_stage_1(run, tmp_path):
    others = [
        PseudoLabelHook(labeler=LABELER, keep_scores=True),
        AttentionAccumulationHook(labeler=LABELER, begin_epoch=0)
    ]
    runner, text = run(
        others=others,
        test=True,
        checkpoint=dict(interval=1, save_best=None),
        cfg=dict(next_step='PSEUDO_DIR={pseudo_labels} train {config} '
                 "'{config}' {checkpoint} in {work_dir} {other}"))
    found = rows(text)
    log = f'work/{runner.timestamp}'
    wanted = {
        'config': 'work/the config.py',
        'last checkpoint': 'work/epoch_2.pth',
        'pseudo labels': 'work/pseudo_labels',
        'accumulated maps': 'work/attention/merged',
        'accumulated labels': 'work/pseudo_labels_accumulated',
        'curves, images': f'{log}/vis_data',
        'log': f'{log}/{runner.timestamp}.log',
    }
    assert {name: path for name, (path, _) in found.items()} == wanted
    assert text.startswith('Written to work:\n')
    # sizes by a plain walk; the log has grown since
    for name, (path, size) in found.items():
        count = sum(p.stat().st_size for p in (tmp_path / path).rglob('*')
                    if p.is_file()) or os.path.getsize(path)
        unit = dict(B=1, kB=1e3, MB=1e6)[size.split()[1]]
        assert float(size.split()[0]) * unit == pytest.approx(
            count, abs=.06 * unit if name != 'log' else 3000)
    assert 'manifest.json' in text and os.path.isfile(
        'work/pseudo_labels/manifest.json')
    # a blank in a path does not end the word; what is unknown stays
    assert text.endswith(
        "Next:\n  PSEUDO_DIR=work/pseudo_labels train 'the config.py' 'the "
        "config.py' work/epoch_2.pth in work {other}")


def test_next_command(run):
    # nothing to test with: no command
    assert 'Next:' not in run()[1]
    _, text = run(cfg=dict(test_dataloader=dict(batch_size=1)))
    assert text.endswith("Next:\n  python tools/test.py 'work/the config.py' "
                         'work/epoch_2.pth')
    # its own wins
    _, text = run(
        RunSummaryHook('look at {checkpoint}'), cfg=dict(next_step='no'))
    assert text.endswith('Next:\n  look at work/epoch_2.pth')
    assert 'Next:' not in run(RunSummaryHook(''), cfg=dict(next_step='no'))[1]
    # nothing that was not written
    _, text = run(cfg=dict(next_step='label by {pseudo_labels}'))
    assert 'Next:' not in text and 'pseudo labels' not in text


def test_nothing_false_after_an_interruption(run, toy):
    model = toy.model()
    model.stop_after = 4
    assert run(fails=KeyboardInterrupt, model=model)[1] is None


def test_files_of_an_earlier_run_are_not_named(run, tmp_path):
    labels = tmp_path / 'work/pseudo_labels'
    labels.mkdir(parents=True)
    (labels / 'manifest.json').write_text('{}')
    old = tmp_path / 'work/epoch_9.pth'
    old.write_text('x')
    for path in (labels / 'manifest.json', old):
        os.utime(path, (1e9, 1e9))

    class Prepared(PseudoLabelHook):
        """Knows its folder, and writes nothing."""

        def before_train(self, runner):
            self._make_writer(runner)

    hook = Prepared(labeler=LABELER, after_train=False)
    _, text = run(
        others=[hook],
        test=True,
        checkpoint=dict(interval=99, save_last=False))
    assert 'pseudo labels' not in text and 'checkpoint' not in text


def test_test_alone_is_no_training(run):
    assert run(test=True, command='test')[1] is None


def test_paths_and_sizes(tmp_path, monkeypatch):
    (tmp_path / 'a/b').mkdir(parents=True)
    (tmp_path / 'a/x').write_bytes(b'123')
    (tmp_path / 'a/b/y').write_bytes(b'4567')
    (tmp_path / 'a/broken').symlink_to('nowhere')
    assert disk_size(str(tmp_path / 'a')) == 7
    assert disk_size(str(tmp_path / 'a/x')) == 3
    assert disk_size(str(tmp_path / 'gone')) == 0
    monkeypatch.chdir(tmp_path / 'a')
    assert shown(str(tmp_path / 'a/x')) == 'x'
    assert shown(str(tmp_path / 'other')) == str(tmp_path / 'other')


def test_a_folder_that_goes_while_it_is_measured(tmp_path, monkeypatch):
    folders = [tmp_path / name for name in 'ab']
    for folder in folders:
        folder.mkdir()
    scandir = os.scandir

    def scan(path):
        found = scandir(path)
        if os.fspath(path) != str(tmp_path):
            while folders:
                folders.pop().rmdir()
        return found

    monkeypatch.setattr(os, 'scandir', scan)
    assert disk_size(str(tmp_path)) == 0
