# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest

from group_wsss.structures import encode_index_png


@pytest.fixture
def folders(tmp_path):
    for name, label in dict(
            pred=[[0, 1, 2, 255]], mask=[[0, 1, 1, 1]]).items():
        (tmp_path / name).mkdir()
        (tmp_path / name / 'x.png').write_bytes(
            encode_index_png(np.array(label, np.uint8)))
    return tmp_path / 'pred', tmp_path / 'mask'


@pytest.mark.slow
def test_table_and_json(folders, tmp_path, call_tool, capsys, monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    (tmp_path / 'names.txt').write_text('cat\ndog\nlynx\n')
    (tmp_path / 'ids.txt').write_text('x 0 1\n')
    out = tmp_path / 'new' / 'figures.json'
    call_tool('eval_labels', *folders, '--classes', tmp_path / 'names.txt',
              '--list', tmp_path / 'ids.txt', '--out', out, '--nproc', 2)
    figures = json.loads(out.read_text())
    # background 1, cat 1 / 3, dog 0; lynx does not occur
    assert figures['mIoU'] == pytest.approx(100 * (1 + 1 / 3) / 3)
    assert figures['mIoU_known'] == pytest.approx(100 * (1 + 1 / 2) / 3)
    assert figures['per_class']['lynx']['iou'] is None
    assert figures['supervision'] is None  # not known of a plain folder
    printed, progress = capsys.readouterr()
    assert 'mIoU (unknown pixels are misses)' in printed
    assert '44.44' in printed and 'neither in predictions' in printed
    assert '1/1' in progress


def test_classes_of_the_manifest(folders, call_tool, capsys, refuse):
    pred, mask = folders
    text = json.dumps(
        dict(classes=['background', 'lynx', 'owl'], supervision=['I', 'S']))
    (pred / 'manifest.json').write_text(text)
    (pred / 'ids.txt').write_text('x')
    call_tool('eval_labels', pred, mask)
    out = capsys.readouterr().out
    assert 'lynx' in out and 'aeroplane' not in out
    assert 'no prediction' not in out
    assert 'made from image-level labels (I), saliency (S)\n' in out
    (mask / 'y.png').write_bytes((mask / 'x.png').read_bytes())
    call_tool('eval_labels', pred, mask)
    assert '1 masks have no prediction; --list' in capsys.readouterr().out
    assert 'differ from those of' in refuse('eval_labels', pred, mask,
                                            '--classes', 'voc')
    (pred / 'manifest.json').write_text('{')
    assert 'manifest.json: not JSON' in refuse('eval_labels', pred, mask)


def test_bad_input_is_one_line(folders, tmp_path, refuse):
    (tmp_path / 'ids.txt').write_text('x\ny\nz\n')
    line = refuse('eval_labels', *folders, '--classes', 2, '--list',
                  tmp_path / 'ids.txt')
    assert '2 of 3 images have no prediction: y, z' in line
