# Copyright (c) group_wsss contributors. All rights reserved.
import json

import pytest
from PIL import Image

from .conftest import files_of, make_dump

TEXT = {'analysis.json', 'per_class.csv', 'images.csv'}
ALL = TEXT | {
    'curve.csv', 'confusions.csv', 'curve.png', 'scores.png', 'per_class.png',
    'confusions.png'
}


@pytest.fixture
def dump(tmp_path):
    return make_dump(tmp_path, 3)


@pytest.mark.slow
def test_processes_do_not_change_a_byte(dump, tmp_path, call_tool, capsys,
                                        monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    masks = ('--masks', tmp_path / 'masks')
    call_tool('analyze_labels', dump, *masks, '--jobs', '2', '--out',
              tmp_path / 'two')
    done = capsys.readouterr().out
    call_tool('analyze_labels', dump, *masks)
    # beside the dump: in it, plots would be taken for labels
    one = tmp_path / 'dump_analysis'
    printed, progress = capsys.readouterr()
    assert '3/6' in progress and '6/6' in progress
    assert printed.splitlines()[-1] == f'files: {one}'
    assert printed.splitlines()[:-1] == done.splitlines()[:-1]
    assert files_of(one) == files_of(tmp_path / 'two')
    assert set(files_of(one)) == ALL
    for path in one.glob('*.png'):
        Image.open(path).load()
    for words in ('Most is lost by', 'chosen on masks', 'from the scores '
                  'alone', 'The 3 worst images', 'taken for each other'):
        assert words in printed


def test_less_input_less_output(dump, tmp_path, call_tool, capsys):
    masks = tmp_path / 'masks'
    out = tmp_path / 'dump_analysis'
    call_tool('analyze_labels', dump, '--masks', masks)
    (out / 'mine.txt').write_text('stays')
    # what an earlier run wrote and this one does not is out of date
    call_tool('analyze_labels', dump)
    assert set(files_of(out)) == TEXT | {'scores.png', 'mine.txt'}
    call_tool('analyze_labels', dump, '--masks', masks, '--no-scores')
    assert set(files_of(out)) == ALL - {'curve.csv', 'curve.png', 'scores.png'
                                        } | {'mine.txt'}  # yapf: disable
    assert 'threshold curve and the score histogram are left out' in (
        capsys.readouterr().out)
    (tmp_path / 'list.txt').write_text('1 1\n2 0\n')
    call_tool('analyze_labels', dump, '--no-scores', '--list',
              tmp_path / 'list.txt', '--out', tmp_path / 'deep' / 'er')
    report = json.loads(
        (tmp_path / 'deep' / 'er' / 'analysis.json').read_text())
    assert report['labels']['images'] == 2
    assert report['dump']['tags_from'] == 'list'


def test_foreign_labels_and_moved_scores(dump, tmp_path, call_tool, capsys):
    (dump / 'manifest.json').unlink()
    (dump / 'ids.txt').unlink()
    (dump / 'scores').rename(tmp_path / 'moved')
    call_tool('analyze_labels', dump, '--scores', tmp_path / 'moved',
              '--masks', tmp_path / 'masks')
    printed = capsys.readouterr().out
    assert 'note: no manifest.json: taken to be the classes of VOC' in printed
    assert 'aeroplane' in printed
    assert 'threshold of the manifest' not in printed
    (tmp_path / 'names.txt').write_text('cat\nsea lion\n')
    call_tool('analyze_labels', dump, '--classes', tmp_path / 'names.txt')
    report = json.loads(
        (tmp_path / 'dump_analysis' / 'analysis.json').read_text())
    assert report['dump']['classes'] == ['background', 'cat', 'sea lion']


def test_bad_input_is_one_line(dump, tmp_path, refuse):
    masks = tmp_path / 'masks'

    def line(*args):
        found = refuse('analyze_labels', *args)
        assert not (tmp_path / 'dump_analysis/analysis.json').exists()
        return found

    assert 'nowhere: no such folder' in line(tmp_path / 'nowhere')
    assert 'no such folder' in line(dump, '--masks', tmp_path / 'none')
    assert 'taken for labels' in line(dump, '--out', dump / 'analysis')
    assert 'taken for labels' in line(dump, '--masks', masks, '--out', masks)
    (tmp_path / 'file').write_text('')
    assert 'cannot be written' in line(dump, '--out', tmp_path / 'file')
    for number in '01':
        assert 'names 2 classes' in line(dump, '--classes', number)
    (masks / '1.png').unlink()
    assert '1 of 3 images have no mask: 1' in line(dump, '--masks', masks)
    (dump / 'scores' / '2.npz').write_bytes(b'')
    assert '2.npz: not a score map' in line(dump)
    (dump / 'manifest.json').write_text('{}')
    assert 'manifest.json' in line(dump)
    assert '--jobs: must be positive' in line(dump, '--jobs', 0)
    assert 'not allowed with' in line(dump, '--no-scores', '--scores', 'x')
