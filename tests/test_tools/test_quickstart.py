# Copyright (c) group_wsss contributors. All rights reserved.
"""tools/quickstart.py end to end, with a few pictures and iterations."""
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ('cam_miou', 'pseudo_label_miou', 'segmentation_miou')


def start(work, data, *words):
    env = dict(os.environ, OMP_NUM_THREADS='1', GROUP_WSSS_PROGRESS='0')
    return subprocess.Popen([
        sys.executable, 'tools/quickstart.py', '--smoke', '--work-dir', work,
        '--data', data, *words
    ],
                            cwd=ROOT,
                            env=env,
                            stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT,
                            text=True)


def finish(process):
    text, _ = process.communicate()
    return process.returncode, text


def sheet_of(work):
    with Image.open(Path(work, 'contact_sheet.png')) as sheet:
        return np.asarray(sheet.convert('RGB'))


@pytest.mark.slow
def test_quickstart(tmp_path):
    work, data = str(tmp_path / 'work'), str(tmp_path / 'toy')

    # a plain kill in the middle of the first training, which saves it
    process = start(work, data)
    seen = ''
    for line in process.stdout:
        seen += line
        if 'group-train 1/6' in line:
            process.send_signal(signal.SIGTERM)
            break
    code, rest = finish(process)
    assert code == 75, seen + rest
    log = Path(work, 'stages', 'group-train.log').read_text()
    assert 'SIGTERM: iteration' in log and 'is saved in' in log
    assert rest.strip().splitlines()[-1] == (
        'interrupted: type the same command again to go on; finished stages '
        'are skipped')
    assert 'Traceback' not in rest

    # started again it resumes that training where it was
    code, text = finish(start(work, data))
    assert code == 0, text
    assert 'stage 1, groups: train on tags, write labels, going on' in text
    log = Path(work, 'stages', 'group-train.log').read_text()
    assert 'resumed' in log
    train = json.loads(Path(work, 'stages', 'group-train.json').read_text())
    assert train['interruptions'] == 1 and train['done']

    path = Path(work, 'summary.json')
    summary = json.loads(path.read_text())
    for key in FIGURES:
        assert 0 <= summary[key] <= 100, key
    assert 'baseline_k1' not in summary
    assert text.count('      groups, mIoU: ') == 2
    assert sheet_of(work).shape[1] > 5 * 176

    # the comparison does what is missing, the figures stay
    code, text = finish(start(work, data, '--compare'))
    assert code == 0, text
    # all but the toy set, which looks for itself
    assert text.count('done before') == 4
    again = json.loads(path.read_text())
    assert [again[key] for key in FIGURES] == [summary[k] for k in FIGURES]
    for key in FIGURES:
        assert 0 <= again['baseline_k1'][key] <= 100, key
    assert 0 <= again['segmentation_miou_full_masks'] <= 100
    assert again['seed'] == 0 and again['versions']['torch']
    stages = {path.stem for path in Path(work, 'stages').glob('*.json')}
    assert set(again['seconds']) == stages and len(stages) == 11
    assert min(again['seconds'].values()) > 0
    # weak training is given the label images, never the masks
    for name, command in again['commands'].items():
        if name in ('group-seg', 'k1-seg'):
            assert 'SegmentationClass' not in command
    pixels = sheet_of(work)
    assert pixels.shape[1] > 6 * 176 and pixels.std() > 20
