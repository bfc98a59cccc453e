# Copyright (c) group_wsss contributors. All rights reserved.
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from group_wsss.structures import encode_index_png

TOOL = Path(__file__).parents[2] / 'tools' / 'eval_labels.py'


def _run(*args):
    env = dict(os.environ, OMP_NUM_THREADS='1')
    env.pop('PYTHONPATH', None)
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        env=env)


@pytest.fixture
def folders(tmp_path):
    for name, label in dict(
            pred=[[0, 1, 2, 255]], mask=[[0, 1, 1, 1]]).items():
        (tmp_path / name).mkdir()
        (tmp_path / name / 'x.png').write_bytes(
            encode_index_png(np.array(label, np.uint8)))
    return tmp_path / 'pred', tmp_path / 'mask'


@pytest.mark.slow
def test_table_and_json(folders, tmp_path):
    (tmp_path / 'names.txt').write_text('cat\ndog\nlynx\n')
    (tmp_path / 'ids.txt').write_text('x 0 1\n')
    out = tmp_path / 'new' / 'figures.json'
    done = _run(*folders, '--classes', tmp_path / 'names.txt', '--list',
                tmp_path / 'ids.txt', '--out', out, '--nproc', 2)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    # background 1, cat 1 / 3, dog 0; lynx does not occur
    assert figures['mIoU'] == pytest.approx(100 * (1 + 1 / 3) / 3)
    assert figures['mIoU_known'] == pytest.approx(100 * (1 + 1 / 2) / 3)
    assert figures['per_class']['lynx']['iou'] is None
    assert figures['supervision'] is None  # not known of a plain folder
    assert 'mIoU (unknown pixels are misses)' in done.stdout
    assert '44.44' in done.stdout and 'neither in predictions' in done.stdout


@pytest.fixture
def run(call_tool, capsys):
    """Run the tool in this process: status, output, errors."""

    def call(*args):
        status = 0
        try:
            call_tool('eval_labels', *args)
        except SystemExit as error:
            status = error.code
        return (status, *capsys.readouterr())

    return call


def test_classes_of_the_manifest(folders, run):
    pred, mask = folders
    text = json.dumps(
        dict(classes=['background', 'lynx', 'owl'], supervision=['I', 'S']))
    (pred / 'manifest.json').write_text(text)
    (pred / 'ids.txt').write_text('\n'.join(
        p.stem for p in pred.glob('*.png')))
    status, out, err = run(pred, mask)
    assert status == 0, err
    assert 'lynx' in out and 'aeroplane' not in out
    assert 'no prediction' not in out
    assert 'made from image-level labels (I), saliency (S)\n' in out
    (mask / 'y.png').write_bytes((mask / 'x.png').read_bytes())
    assert '1 masks have no prediction; --list' in run(pred, mask)[1]
    status, _, err = run(pred, mask, '--classes', 'voc')
    assert status == 2 and 'differ from those of' in err
    (pred / 'manifest.json').write_text('{')
    status, _, err = run(pred, mask)
    assert status == 2 and 'manifest.json: not JSON' in err


def test_bad_input_is_one_line(folders, tmp_path, run):
    pred, mask = folders
    (tmp_path / 'ids.txt').write_text('x\ny\nz\n')
    status, out, err = run(pred, mask, '--classes', 2, '--list',
                           tmp_path / 'ids.txt')
    assert status == 2 and out == ''
    lines = err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('error: ')
    assert '2 of 3 images have no prediction: y, z' in lines[0]
