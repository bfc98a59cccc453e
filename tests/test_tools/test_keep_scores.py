# Copyright (c) group_wsss contributors. All rights reserved.
"""Score maps are kept on request, and their size is told early."""
import re
import shutil
from collections import namedtuple

from group_wsss.structures import ScoreMap
from .conftest import STAGE1, save_weights


def test_stage_1_and_refinement(tiny_voc, tmp_path, call_tool, capsys, refuse,
                                monkeypatch):
    monkeypatch.setenv('DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('TRAIN_LIST', 'ImageSets/train_cls.txt')
    work = tmp_path / 'work'
    call_tool('test', STAGE1, save_weights(STAGE1, tmp_path / 'x.pth'),
              '--work-dir', work, '--keep-scores')
    labels = work / 'pseudo_labels'
    scores = sorted((labels / 'scores').glob('*.npz'))
    assert [path.stem for path in scores] == [f'tiny_{i}' for i in range(8)]
    assert ScoreMap.load(str(scores[0])).img_id == 'tiny_0'
    line = r'scores of 8 images need about 32.8 kB \(8 measured\), .* are free'
    log, = work.glob('*/*.log')
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
    error = refuse('refine_labels', config, labels, tmp_path / 'full',
                   '--keep-scores')
    assert error.startswith(f'error: {tmp_path}/full: scores of 8 images')
    assert error.endswith('30.0 kB are free')


def test_a_config_without_the_hook(tmp_path, refuse):
    config = tmp_path / 'plain.py'
    config.write_text('custom_hooks = [dict(type="EMAHook")]')
    (tmp_path / 'x.pth').write_bytes(b'')
    assert '--keep-scores needs a PseudoLabelHook' in refuse(
        'test', config, tmp_path / 'x.pth', '--keep-scores')
