# Copyright (c) group_wsss contributors. All rights reserved.
import shutil

import pytest

from group_wsss.contrib.analysis import analyze_dump
from group_wsss.contrib.report import page
from .conftest import files_of, make_dump


@pytest.fixture
def folders(tmp_path):
    """A dump with scores, an earlier one, images and masks."""
    shutil.copytree(make_dump(tmp_path, 9), tmp_path / 'seeds')
    return tmp_path


@pytest.mark.slow
def test_processes_do_not_change_a_byte(folders, call_tool, capsys,
                                        monkeypatch):
    # its own processes have a test of their own
    monkeypatch.setattr(page, 'analyze_dump',
                        lambda dump, masks, *_: analyze_dump(dump, masks))
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    common = (folders / 'dump', '--masks', folders / 'masks', '--steps',
              f'first={folders / "seeds"}')
    call_tool('report', *common, '--jobs', 2)
    out = folders / 'dump_report'
    printed, progress = capsys.readouterr()
    assert printed.splitlines()[-1] == (
        f'9 images; open in a browser: {out / "index.html"}')
    assert '9/9' in progress
    call_tool('report', *common, '--out', folders / 'one')
    files = files_of(out)
    assert files == files_of(folders / 'one')
    assert len(files) == 5 + 4 + 2 * 9  # four plots
    # beside the dump, which holds labels alone
    assert not list((folders / 'dump').rglob('*.html'))


def test_options(folders, call_tool):
    out = folders / 'out'
    (folders / 'list.txt').write_text('1 1\n2 0\n5 0\n')
    call_tool('report', folders / 'dump', '--out', out, '--no-scores',
              '--list', folders / 'list.txt', '--max-images', 2)
    files = files_of(out)
    assert sum(name.startswith('data') for name in files) == 2
    assert b'2 of 3 images' in files['index.html']
    # an earlier report is replaced
    call_tool('report', folders / 'dump', '--out', out, '--side', 64,
              '--images', folders / 'photos')
    assert len(files_of(out)) == 5 + 1 + 4 * 9


def test_bad_input_is_one_line(folders, refuse):

    def line(*args):
        found = refuse('report', *args)
        assert not (folders / 'dump_report').exists()
        return found

    dump = folders / 'dump'
    assert 'nowhere: no such folder' in line(folders / 'nowhere')
    for inside in ('dump', 'masks/page', 'photos', 'seeds/page', 'dump/scores'
                   ):  # yapf: disable
        assert 'taken for labels' in line(dump, '--out', folders / inside,
                                          '--masks', folders / 'masks',
                                          '--images', folders / 'photos',
                                          '--steps', f's={folders}/seeds')
    (folders / 'mine').mkdir()
    (folders / 'mine' / 'thesis.txt').write_text('')
    assert 'is no report' in line(dump, '--out', folders / 'mine')
    images = ('--images', folders / 'photos', '--suffix')
    assert "suffix 'jpg'" in line(dump, *images, 'jpg')
    assert '9 of 9 are missing: 0.webp' in line(dump, *images, '.webp')
    (folders / 'masks' / '3.png').write_bytes(b'')
    assert '3.png' in line(dump, '--masks', folders / 'masks')
    assert '--max-images: must be positive' in line(dump, '--max-images', 0)
    assert '--side must be' in line(dump, '--side', 10)
