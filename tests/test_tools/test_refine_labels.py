# Copyright (c) group_wsss contributors. All rights reserved.
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.pseudo_labels.refiners import PixelAdaptive
from group_wsss.pseudo_labels.thresholds import otsu, score_histogram
from group_wsss.structures import DumpWriter, ScoreMap, read_index_png

ROOT = Path(__file__).resolve().parents[2]
CONFIG = '''
refiners = [dict(type='group_wsss.PixelAdaptive', bg_threshold='otsu')]
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold=0.5)
'''


@pytest.fixture
def run(call_tool, capsys, monkeypatch):
    """Run the tool in this process; what it printed."""
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')

    def call(*args, code=0):
        status = 0
        try:
            call_tool('refine_labels', *args)
        except SystemExit as error:
            status = error.code
        printed = capsys.readouterr()
        assert status == code, printed
        return printed

    return call


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A dump of 11 images with scores, its images and configs."""
    root = tmp_path_factory.mktemp('refine')
    rng = np.random.default_rng(0)
    writer = DumpWriter(str(root / 'dump'), ['cat', 'dog'])
    for i in range(11):
        maps = rng.random((2, 4, 5), dtype=np.float32)**2
        score_map = ScoreMap(f's/{i}', (16, 20), [0, 1], maps)
        score_map.save(f'{writer.staging}/scores/s/{i}.npz')
        writer.write(f's/{i}', ThresholdLabeler()(score_map))
        (root / 'images/s').mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (16, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f'images/s/{i}.png')
    writer.finish(checkpoint=dict(name='x.pth', sha256='00'), seed=3)
    (root / 'config.py').write_text(CONFIG)
    (root / 'plain.py').write_text(CONFIG.split('\n')[2])
    return root


def files(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob('*.[pn][np][gz]')
    }


@pytest.mark.slow
def test_images_of_a_list(folder, tmp_path, run):
    """Images that are not called as their ids are."""
    images = tmp_path / 'images'
    images.mkdir()
    entries = []
    for i in range(11):
        link = images / f'photo {i}.png'
        link.symlink_to(folder / f'images/s/{i}.png')
        entries.append(dict(id=f's/{i}', path=link.name, labels=['cat']))
    listed = tmp_path / 'list.json'
    content = dict(classes=['cat', 'dog'], images=entries)
    listed.write_text(json.dumps(content))
    command = [folder / 'config.py', folder / 'dump']
    run(*command, tmp_path / 'a', '--images', folder / 'images', '--suffix',
        '.png')
    run(*command, tmp_path / 'b', '--images', images, '--image-list', listed)
    assert files(tmp_path / 'a') == files(tmp_path / 'b')
    manifest = json.loads((tmp_path / 'b/manifest.json').read_text())
    assert manifest['image_paths']['s/7'] == 'photo 7.png'
    listed.write_text(json.dumps(dict(content, images=entries[1:])))
    done = run(
        *command,
        tmp_path / 'c',
        '--images',
        images,
        '--image-list',
        listed,
        code=2)
    assert 'error: s/0: has scores, but is not in the list' in done.err
    assert run(*command, tmp_path / 'c', '--image-list', listed, code=2).err


@pytest.mark.slow
def test_one_and_two_processes(folder, run):
    args = (folder / 'config.py', folder / 'dump')
    images = ('--images', folder / 'images', '--suffix', '.png')
    done = run(*args, folder / 'one', *images, '--keep-scores')
    # as a user types it
    subprocess.run([
        sys.executable, ROOT / 'tools/refine_labels.py', *args, folder / 'two',
        *images, '--keep-scores', '--nproc', '2'
    ], check=True)  # yapf: disable
    assert files(folder / 'one') == files(folder / 'two')
    assert len(files(folder / 'one')) == 22
    before = [
        ScoreMap.load(str(folder / f'dump/scores/s/{i}.npz'))
        for i in range(11)
    ]
    threshold = otsu(sum(map(score_histogram, before)))
    refiner = PixelAdaptive(bg_threshold=threshold)
    for i, score_map in enumerate(before):
        image = Image.open(folder / f'images/s/{i}.png')
        label = ThresholdLabeler(.5)(refiner(score_map, np.asarray(image)))
        np.testing.assert_array_equal(
            read_index_png(str(folder / f'one/s/{i}.png')), label)
    manifest = json.loads((folder / 'one/manifest.json').read_text())
    assert manifest['classes'] == ['background', 'cat', 'dog']
    assert manifest['chosen_thresholds'] == [threshold]
    assert manifest['checkpoint'] == dict(name='x.pth', sha256='00')
    assert manifest['seed'] == 3 and manifest['images'] == 11
    assert f'threshold {threshold:.3f} chosen' in done.out
    assert '22/22' in done.err  # two passes over the images


@pytest.mark.slow
def test_a_list_and_a_folder_of_npz(folder, run):
    (folder / 'list.txt').write_text('s/3\ns/10\n')
    out = folder / 'listed'
    run(folder / 'plain.py', folder / 'dump/scores', out, '--classes', 'voc',
        '--list', folder / 'list.txt')
    assert sorted(files(out)) == ['s/10.png', 's/3.png']
    assert (out / 'ids.txt').read_text() == 's/10\ns/3\n'


CASES = [
    ('no dump', ['nowhere', 'no such folder']),
    ('no labeler', ['empty.py', 'labeler']),
    ('no scores', ['bare', 'keep_scores']),
    ('no classes', ['manifest.json', '--classes']),
    ('bad manifest', ['manifest.json', "'classes' must be"]),
    ('in place', ['is the dump itself']),
    ('no images', ['s/0', 'needs the image']),
    ('missing image', ['11 of 11 are missing: s/0.jpg']),
    ('broken npz', ['s/4.npz', 'not a score map']),
    ('wrong id', ['s/4.npz', "'s/5'"]),
    ('not in the list', ['dump/ids.txt: 1 of 1', "'s/99'"]),
    ('bad threshold', ['bg_threshold', '7']),
]


# what the processes of a pool find out
@pytest.mark.slow
@pytest.mark.parametrize('case, words, nproc', [(*row, 1) for row in CASES] +
                         [(*row, 2)
                          for row in CASES if row[0] == 'broken npz'])
def test_bad_input(folder, tmp_path, run, case, words, nproc):
    config, dump, more = folder / 'plain.py', folder / 'dump', []
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'old.png').write_bytes(b'old labels')
    copy = tmp_path / 'copy'
    if case in ('broken npz', 'wrong id', 'no scores', 'bad manifest'):
        dump = copy
        (copy / 'scores/s').mkdir(parents=True)
        for path in (folder / 'dump/scores/s').iterdir():
            (copy / 'scores/s' / path.name).write_bytes(path.read_bytes())
        for name in ('manifest.json', 'ids.txt'):
            text = (folder / 'dump' / name).read_text()
            (copy / name).write_text(text)
    if case == 'no dump':
        dump = tmp_path / 'nowhere'
    elif case == 'no labeler':
        config = tmp_path / 'empty.py'
        config.write_text('refiners = []')
    elif case == 'no scores':
        copy.rename(tmp_path / 'bare')
        dump = tmp_path / 'bare'
        (dump / 'scores').rename(tmp_path / 'elsewhere')
    elif case == 'no classes':
        dump = folder / 'dump/scores'
    elif case == 'bad manifest':
        (copy / 'manifest.json').write_text('{"classes": ["cat"]}')
    elif case == 'in place':
        out = dump
    elif case == 'no images':
        config = folder / 'config.py'
    elif case == 'missing image':
        config = folder / 'config.py'
        more = ['--images', folder / 'images', '--suffix', '.jpg']
    elif case == 'broken npz':
        path = copy / 'scores/s/4.npz'
        path.write_bytes(path.read_bytes()[:-40])
    elif case == 'wrong id':
        other = (copy / 'scores/s/5.npz').read_bytes()
        (copy / 'scores/s/4.npz').write_bytes(other)
    elif case == 'not in the list':
        (tmp_path / 'list.txt').write_text('s/99\n')
        more = ['--list', tmp_path / 'list.txt']
    elif case == 'bad threshold':
        more = ['--cfg-options', 'labeler.bg_threshold=7']
    before = files(folder / 'dump')
    done = run(config, dump, out, *more, '--nproc', nproc, code=2)
    lines = [
        line for line in done.err.splitlines() if line.startswith('error:')
    ]
    assert len(lines) == 1 and 'Traceback' not in done.err, done.err
    for word in words:
        assert word in lines[0]
    assert files(folder / 'dump') == before
    if out != dump:
        assert [p.name for p in out.iterdir()
                if not p.name.startswith('.')] == ['old.png']
