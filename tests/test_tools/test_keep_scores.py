# Copyright (c) group_wsss contributors. All rights reserved.
"""Score maps are kept on request, and their size is told early."""
import re
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from group_wsss.structures import ScoreMap

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'tests' / 'configs' / 'tiny_group_cam.py'


@pytest.fixture
def test_run(tiny_voc, tmp_path, monkeypatch, call_tool):
    """``tools/test.py`` of an untrained stage 1; its folder of labels."""
    monkeypatch.setenv('DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('TRAIN_LIST', 'ImageSets/train_cls.txt')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(Config.fromfile(CONFIG).model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'x.pth')
    work_dir = tmp_path / 'work'
    call_tool('test', CONFIG, tmp_path / 'x.pth', '--work-dir', work_dir,
              '--keep-scores')
    return work_dir


def test_stage_1_and_refinement(test_run, tmp_path, call_tool, capsys,
                                monkeypatch):
    labels = test_run / 'pseudo_labels'
    scores = sorted((labels / 'scores').glob('*.npz'))
    assert [path.stem for path in scores] == [f'tiny_{i}' for i in range(8)]
    assert ScoreMap.load(str(scores[0])).img_id == 'tiny_0'
    line = r'scores of 8 images need about 32.8 kB \(8 measured\), .* are free'
    log, = test_run.glob('*/*.log')
    assert len(re.findall(line, log.read_text())) == 1
    config = tmp_path / 'refine.py'
    config.write_text("labeler = dict(type='group_wsss.ThresholdLabeler', "
                      "bg_threshold='otsu')")
    # they wait for the threshold even if nobody keeps them
    for keep, need in (((), '32.8'), (('--keep-scores', ), '65.5')):
        capsys.readouterr()
        call_tool('refine_labels', config, labels, tmp_path / 'new', *keep)
        assert re.search(line.replace('32.8', need), capsys.readouterr().err)
    usage = namedtuple('usage', 'free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(30000))
    with pytest.raises(SystemExit):
        call_tool('refine_labels', config, labels, tmp_path / 'full',
                  '--keep-scores')
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f'error: {tmp_path}/full: scores of 8 images')
    assert error.endswith('30.0 kB are free')


def test_a_config_without_the_hook(tmp_path, call_tool, capsys):
    config = tmp_path / 'plain.py'
    config.write_text('custom_hooks = [dict(type="EMAHook")]')
    (tmp_path / 'x.pth').write_bytes(b'')
    with pytest.raises(SystemExit):
        call_tool('test', config, tmp_path / 'x.pth', '--keep-scores')
    assert ('--keep-scores needs a PseudoLabelHook'
            in capsys.readouterr().err.splitlines()[-1])
