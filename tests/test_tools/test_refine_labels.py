# Copyright (c) group_wsss contributors. All rights reserved.
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.pseudo_labels.refiners import PixelAdaptive
from group_wsss.pseudo_labels.thresholds import otsu, score_histogram
from group_wsss.structures import ScoreMap, read_index_png
from .conftest import files_of, make_dump

CONFIG = '''
refiners = [dict(type='group_wsss.PixelAdaptive', bg_threshold='otsu')]
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold=0.5)
'''


@pytest.fixture
def run(call_tool, capsys, monkeypatch):
    """Run the tool in this process; what it printed."""
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')

    def call(*args):
        call_tool('refine_labels', *args)
        return capsys.readouterr()

    return call


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A dump of 11 images with scores, its images and configs."""
    root = tmp_path_factory.mktemp('refine')
    make_dump(
        root, 11, 's/{}', checkpoint=dict(name='x.pth', sha256='00'), seed=3)
    (root / 'config.py').write_text(CONFIG)
    (root / 'plain.py').write_text(CONFIG.split('\n')[2])
    return root


def results(folder):
    return {**files_of(folder, '*.png'), **files_of(folder, '*.npz')}


@pytest.mark.slow
def test_images_of_a_list(folder, tmp_path, run, refuse):
    """Images that are not called as their ids are."""
    images = tmp_path / 'images'
    images.mkdir()
    entries = []
    for i in range(11):
        link = images / f'photo {i}.png'
        link.symlink_to(folder / f'photos/s/{i}.png')
        entries.append(dict(id=f's/{i}', path=link.name, labels=['cat']))
    listed = tmp_path / 'list.json'
    content = dict(classes=['cat', 'sea lion'], images=entries)
    listed.write_text(json.dumps(content))
    command = [folder / 'config.py', folder / 'dump']
    run(*command, tmp_path / 'a', '--images', folder / 'photos')
    run(*command, tmp_path / 'b', '--images', images, '--image-list', listed)
    assert results(tmp_path / 'a') == results(tmp_path / 'b')
    manifest = json.loads((tmp_path / 'b/manifest.json').read_text())
    assert manifest['image_paths']['s/7'] == 'photo 7.png'
    listed.write_text(json.dumps(dict(content, images=entries[1:])))
    args = ('refine_labels', *command, tmp_path / 'c', '--image-list', listed)
    assert 'error: s/0: has scores, but is not in the list' in refuse(
        *args, '--images', images)
    assert '--image-list needs --images' in refuse(*args)


@pytest.mark.slow
def test_one_and_two_processes(folder, run):
    args = (folder / 'config.py', folder / 'dump')
    more = ('--images', folder / 'photos', '--suffix', '.png', '--keep-scores')
    done = run(*args, folder / 'one', *more)
    run(*args, folder / 'two', *more, '--nproc', '2')
    assert results(folder / 'one') == results(folder / 'two')
    assert len(results(folder / 'one')) == 22
    before = [
        ScoreMap.load(str(folder / f'dump/scores/s/{i}.npz'))
        for i in range(11)
    ]
    threshold = otsu(sum(map(score_histogram, before)))
    refiner = PixelAdaptive(bg_threshold=threshold)
    for i, score_map in enumerate(before):
        image = Image.open(folder / f'photos/s/{i}.png')
        label = ThresholdLabeler(.5)(refiner(score_map, np.asarray(image)))
        np.testing.assert_array_equal(
            read_index_png(str(folder / f'one/s/{i}.png')), label)
    manifest = json.loads((folder / 'one/manifest.json').read_text())
    assert manifest['classes'] == ['background', 'cat', 'sea lion']
    assert manifest['chosen_thresholds'] == [threshold]
    assert manifest['checkpoint'] == dict(name='x.pth', sha256='00')
    assert manifest['seed'] == 3 and manifest['images'] == 11
    assert f'threshold {threshold:.3f} chosen' in done.out
    assert '22/22' in done.err  # two passes over the images


@pytest.mark.slow
def test_a_list_and_a_folder_of_npz(folder, tmp_path, run):
    (tmp_path / 'list.txt').write_text('s/3\ns/10\n')
    out = tmp_path / 'listed'
    args = (folder / 'plain.py', folder / 'dump/scores')
    run(*args, out, '--classes', 'voc', '--list', tmp_path / 'list.txt')
    assert sorted(results(out)) == ['s/10.png', 's/3.png']
    assert (out / 'ids.txt').read_text() == 's/10\ns/3\n'
    run(*args, tmp_path / 'all', '--classes', 'voc', '--images',
        folder / 'photos')
    assert len(results(tmp_path / 'all')) == 11


def cut_short(dump):
    path = dump / 'scores/s/4.npz'
    path.write_bytes(path.read_bytes()[:-40])


def swap(dump):
    shutil.copy(dump / 'scores/s/5.npz', dump / 'scores/s/4.npz')


def no_classes(dump):
    (dump / 'manifest.json').write_text('{"classes": ["cat"]}')


# what is done to a copy of the dump, and arguments in place of the plain ones
CASES = {
    'no dump': (shutil.rmtree, {}, ['no such folder']),
    'no labeler': (None, dict(config='bare.py'), ['labeler']),
    'no scores': (lambda dump: shutil.rmtree(dump / 'scores'), {},
                  ['keep_scores']),
    'no classes': (lambda dump: (dump / 'manifest.json').unlink(), {},
                   ['manifest.json', '--classes']),
    'bad manifest': (no_classes, {}, ['manifest.json', "'classes' must be"]),
    'in place': (None, dict(out='dump'), ['is the dump itself']),
    'no images': (None, dict(config='config.py'), ['s/0', 'needs the image']),
    'missing image': (None, dict(config='config.py', more=[
        '--images', 'photos', '--suffix', '.jpg'
    ]), ['11 of 11 are missing: s/0.jpg']),
    'broken npz': (cut_short, {}, ['s/4.npz', 'not a score map']),
    'in a process': (cut_short, dict(more=['--nproc', '2']),
                     ['s/4.npz', 'not a score map']),
    'wrong id': (swap, {}, ['s/4.npz', "'s/5'"]),
    'not in the list': (None, dict(more=['--list', 'list.txt']),
                        ['dump/ids.txt: 1 of 1', "'s/99'"]),
    'bad threshold': (None, dict(more=[
        '--cfg-options', 'labeler.bg_threshold=7'
    ]), ['bg_threshold', '7']),
}  # yapf: disable


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_bad_input(folder, tmp_path, refuse, monkeypatch, case):
    harm, given, words = CASES[case]
    for name in ('dump', 'photos'):
        shutil.copytree(folder / name, tmp_path / name)
    for name in ('config.py', 'plain.py'):
        shutil.copy(folder / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'bare.py').write_text('refiners = []')
    (tmp_path / 'list.txt').write_text('s/99\n')
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'old.png').write_bytes(b'old labels')
    if harm:
        harm(tmp_path / 'dump')
    before = files_of(tmp_path / 'dump')
    line = refuse('refine_labels', given.get('config', 'plain.py'), 'dump',
                  given.get('out', 'out'), *given.get('more', []))
    for word in words:
        assert word in line
    assert files_of(tmp_path / 'dump') == before
    assert [p.name for p in out.iterdir()
            if not p.name.startswith('.')] == ['old.png']
