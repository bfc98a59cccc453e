# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
from PIL import Image

from group_wsss.contrib.analysis import analyze_dump
from group_wsss.contrib.report import page
from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import DumpWriter, ScoreMap, encode_index_png


@pytest.fixture
def folders(tmp_path):
    """A dump with scores, an earlier one, images and masks."""
    rng = np.random.default_rng(0)
    for name in ('images', 'masks'):
        (tmp_path / name).mkdir()
    for name in ('dump', 'seeds'):
        writer = DumpWriter(str(tmp_path / name), ['cat', 'sea lion'])
        for i in range(9):
            score_map = ScoreMap(f'{i}', (20, 24), [0, 1], rng.random(
                (2, 5, 6)))
            score_map.save(f'{writer.staging}/scores/{i}.npz')
            writer.write(f'{i}', ThresholdLabeler(.6)(score_map))
        writer.finish(labeler=dict(type='ThresholdLabeler', bg_threshold=.6))
    for i in range(9):
        (tmp_path / 'masks' / f'{i}.png').write_bytes(
            encode_index_png(rng.choice(3, (20, 24)).astype(np.uint8)))
        image = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / 'images' / f'{i}.jpg')
    return tmp_path


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*') if path.is_file()
    }


@pytest.mark.slow
def test_processes_do_not_change_a_byte(folders, call_tool, capsys,
                                        monkeypatch):
    # its own processes have a test of their own
    monkeypatch.setattr(page, 'analyze_dump',
                        lambda dump, masks, *_: analyze_dump(dump, masks))
    common = (folders / 'dump', '--masks', folders / 'masks', '--steps',
              f'first={folders / "seeds"}')
    call_tool('report', *common, '--jobs', 2)
    out = folders / 'dump_report'
    assert capsys.readouterr().out.splitlines()[-1] == (
        f'9 images; open in a browser: {out / "index.html"}')
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
              '--images', folders / 'images')
    assert len(files_of(out)) == 5 + 1 + 4 * 9


def test_bad_input_is_one_line(folders, call_tool, capsys):
    dump = folders / 'dump'

    def refuse(*args):
        with pytest.raises(SystemExit) as caught:
            call_tool('report', *args)
        assert caught.value.code == 2
        streams = capsys.readouterr()
        assert streams.out == ''
        return streams.err.strip().splitlines()

    def one_line(*args):
        lines = refuse(*args)
        assert len(lines) == 1 and lines[0].startswith('error: ')
        assert not (folders / 'dump_report').exists()
        return lines[0]

    assert 'nowhere: no such folder' in one_line(folders / 'nowhere')
    for inside in ('dump', 'masks/page', 'images', 'seeds/page'):
        assert 'taken for labels' in one_line(dump, '--out', folders / inside,
                                              '--masks', folders / 'masks',
                                              '--images', folders / 'images',
                                              '--steps', f's={folders}/seeds')
    (folders / 'mine').mkdir()
    (folders / 'mine' / 'thesis.txt').write_text('')
    assert 'is no report' in one_line(dump, '--out', folders / 'mine')
    images = ('--images', folders / 'images', '--suffix')
    assert "suffix 'jpg'" in one_line(dump, *images, 'jpg')
    assert '9 of 9 are missing: 0.webp' in one_line(dump, *images, '.webp')
    (folders / 'masks' / '3.png').write_bytes(b'')
    assert '3.png' in one_line(dump, '--masks', folders / 'masks')
    assert '--max-images: must be positive' in refuse(dump, '--max-images',
                                                      0)[-1]
    assert '--side must be' in refuse(dump, '--side', 10)[-1]
    assert 'not allowed with' in refuse(dump, '--no-scores', '--scores', 'x'
                                        )[-1]  # yapf: disable
