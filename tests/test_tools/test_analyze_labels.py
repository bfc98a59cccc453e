# Copyright (c) group_wsss contributors. All rights reserved.
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import DumpWriter, ScoreMap, encode_index_png

TOOL = Path(__file__).parents[2] / 'tools' / 'analyze_labels.py'
TEXT = {'analysis.json', 'per_class.csv', 'images.csv'}
ALL = TEXT | {
    'curve.csv', 'confusions.csv', 'curve.png', 'scores.png', 'per_class.png',
    'confusions.png'
}


@pytest.fixture
def folders(tmp_path):
    """Three images with scores, and masks."""
    rng = np.random.default_rng(0)
    writer = DumpWriter(str(tmp_path / 'dump'), ['cat', 'sea lion'])
    (tmp_path / 'masks').mkdir()
    for i in range(3):
        score_map = ScoreMap(f'{i}', (20, 24), [0, 1], rng.random((2, 5, 6)))
        score_map.save(f'{writer.staging}/scores/{i}.npz')
        writer.write(f'{i}', ThresholdLabeler(.6)(score_map))
        (tmp_path / 'masks' / f'{i}.png').write_bytes(
            encode_index_png(rng.choice(3, (20, 24)).astype(np.uint8)))
    writer.finish(labeler=dict(type='ThresholdLabeler', bg_threshold=.6))
    return tmp_path / 'dump', tmp_path / 'masks'


@pytest.mark.slow
def test_processes_do_not_change_a_byte(folders, tmp_path, call_tool, capsys):
    dump, masks = folders
    env = dict(os.environ, OMP_NUM_THREADS='1')
    env.pop('PYTHONPATH', None)
    done = subprocess.run([
        sys.executable, TOOL, dump, '--masks', masks, '--jobs', '2', '--out',
        tmp_path / 'two'
    ], capture_output=True, text=True, timeout=120, env=env)  # yapf: disable
    assert done.returncode == 0, done.stderr
    call_tool('analyze_labels', dump, '--masks', masks)
    # beside the dump: in it, plots would be taken for labels
    one = tmp_path / 'dump_analysis'
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f'files: {one}'
    assert printed.splitlines()[:-1] == done.stdout.splitlines()[:-1]
    assert {path.name for path in one.iterdir()} == ALL
    for path in one.iterdir():
        assert path.read_bytes() == (tmp_path / 'two' / path.name).read_bytes()
        if path.suffix == '.png':
            Image.open(path).load()
    for words in ('Most is lost by', 'chosen on masks', 'from the scores '
                  'alone', 'The 3 worst images', 'taken for each other'):
        assert words in printed


def test_less_input_less_output(folders, tmp_path, call_tool, capsys):
    dump, masks = folders
    out = tmp_path / 'dump_analysis'
    call_tool('analyze_labels', dump, '--masks', masks)
    (out / 'mine.txt').write_text('stays')
    # what an earlier run wrote and this one does not is out of date
    call_tool('analyze_labels', dump)
    assert {path.name for path in out.iterdir()} == TEXT | {
        'scores.png', 'mine.txt'}  # yapf: disable
    call_tool('analyze_labels', dump, '--masks', masks, '--no-scores')
    assert {path.name for path in out.iterdir()} == ALL - {
        'curve.csv', 'curve.png', 'scores.png'} | {'mine.txt'}  # yapf: disable
    assert 'threshold curve and the score histogram are left out' in (
        capsys.readouterr().out)
    (tmp_path / 'list.txt').write_text('1 1\n2 0\n')
    call_tool('analyze_labels', dump, '--no-scores', '--list',
              tmp_path / 'list.txt', '--out', tmp_path / 'deep' / 'er')
    report = json.loads(
        (tmp_path / 'deep' / 'er' / 'analysis.json').read_text())
    assert report['labels']['images'] == 2
    assert report['dump']['tags_from'] == 'list'


def test_foreign_labels_and_moved_scores(folders, tmp_path, call_tool, capsys):
    dump, masks = folders
    (dump / 'manifest.json').unlink()
    (dump / 'ids.txt').unlink()
    (dump / 'scores').rename(tmp_path / 'moved')
    call_tool('analyze_labels', dump, '--scores', tmp_path / 'moved',
              '--masks', masks)
    printed = capsys.readouterr().out
    assert 'note: no manifest.json: taken to be the classes of VOC' in printed
    assert 'aeroplane' in printed and 'threshold of the manifest' not in (
        printed)
    (tmp_path / 'names.txt').write_text('cat\nsea lion\n')
    call_tool('analyze_labels', dump, '--classes', tmp_path / 'names.txt')
    report = json.loads(
        (tmp_path / 'dump_analysis' / 'analysis.json').read_text())
    assert report['dump']['classes'] == ['background', 'cat', 'sea lion']


def test_bad_input_is_one_line(folders, tmp_path, call_tool, capsys):
    dump, masks = folders
    out = tmp_path / 'dump_analysis'

    def refuse(*args):
        with pytest.raises(SystemExit) as caught:
            call_tool('analyze_labels', *args)
        assert caught.value.code == 2
        streams = capsys.readouterr()
        assert streams.out == '' and not (out / 'analysis.json').exists()
        lines = streams.err.strip().splitlines()
        assert 'error: ' in lines[-1]
        return lines

    def one_line(*args):
        lines = refuse(*args)
        assert len(lines) == 1
        return lines[0]

    assert 'nowhere: no such folder' in one_line(tmp_path / 'nowhere')
    assert 'no such folder' in one_line(dump, '--masks', tmp_path / 'none')
    assert 'taken for labels' in one_line(dump, '--out', dump / 'analysis')
    assert 'taken for labels' in one_line(dump, '--masks', masks, '--out',
                                          masks)
    (tmp_path / 'file').write_text('')
    assert 'cannot be written' in one_line(dump, '--out', tmp_path / 'file')
    for number in '01':
        assert 'names 2 classes' in one_line(dump, '--classes', number)
    (masks / '1.png').unlink()
    assert '1 of 3 images have no mask: 1' in one_line(dump, '--masks', masks)
    (dump / 'scores' / '2.npz').write_bytes(b'')
    assert '2.npz: not a score map' in one_line(dump)
    (dump / 'manifest.json').write_text('{}')
    assert 'manifest.json' in one_line(dump)
    # argparse's own
    assert '--jobs: must be positive' in refuse(dump, '--jobs', 0)[-1]
    assert 'not allowed with' in refuse(dump, '--no-scores', '--scores', 'x'
                                        )[-1]  # yapf: disable
