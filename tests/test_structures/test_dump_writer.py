# Copyright (c) group_wsss contributors. All rights reserved.
import errno
import hashlib
import json
import os

import numpy as np
import pytest

from group_wsss.structures import Dump, DumpWriter, ScoreMap, read_index_png
from group_wsss.structures.palette import bright_palette
from group_wsss.utils.errors import InputError
from group_wsss.utils.versions import sha256_of

LABEL = np.array([[0, 1, 255], [2, 2, 0]], dtype=np.uint8)


def _dump(folder, ids, scores=()):
    writer = DumpWriter(str(folder), ['a', 'b'])
    writer.begin()
    for img_id in ids:
        writer.write(img_id, LABEL)
    for img_id in scores:
        ScoreMap(img_id, (2, 3), [0], np.ones(
            (1, 1, 1))).save(f'{writer.staging}/scores/{img_id}.npz')
    return writer


def _files(folder):
    return {
        str(path.relative_to(folder))
        for path in folder.rglob('*') if path.is_file()
    }


def test_same_label_same_bytes_on_any_rank(tmp_path):
    paths = []
    for rank in (0, 1):
        writer = DumpWriter(str(tmp_path / str(rank)), ['a', 'b'], rank=rank)
        paths.append(writer.write('sub/x', LABEL))
    first, second = (open(path, 'rb').read() for path in paths)
    assert first == second
    np.testing.assert_array_equal(read_index_png(paths[0]), LABEL)
    names = [p.name for p in (tmp_path / '0').rglob('*') if p.is_file()]
    assert names == ['x.png']


def test_manifest(tmp_path):
    writer = DumpWriter(str(tmp_path), ['a', 'b'], [[0, 0, 0], [4, 5, 6]])
    writer.write('x', LABEL)
    writer.write('y', np.ones((1, 4), np.uint8))
    writer.write('y', np.full((1, 4), 2, np.uint8))  # a repeated sample
    writer.finish(
        config='model = 1',
        checkpoint=dict(name='epoch_1.pth', sha256='00'),
        labeler=dict(type='T', bg_threshold=np.float32(.5)),
        supervision=['S', 'I', 'S'],
        image_paths={
            'x': '/a',
            'q': '/b'
        },
        seed=3,
        duration=1.5)
    manifest = json.loads((tmp_path / 'manifest.json').read_text())
    assert manifest['images'] == 2
    assert manifest['classes'] == ['background', 'a', 'b']
    assert manifest['pixels'] == dict(background=2, a=1, b=6)
    assert manifest['unknown_pixels'] == 1
    assert manifest['unknown_share'] == pytest.approx(1 / 10)
    assert manifest['palette'] == [[0, 0, 0], [4, 5, 6],
                                   bright_palette()[2].tolist()]
    assert manifest['supervision'] == ['I', 'S']
    assert manifest['image_paths'] == {'x': '/a'}
    assert manifest['labeler'] == dict(type='T', bg_threshold=.5)
    assert manifest['checkpoint']['name'] == 'epoch_1.pth'
    assert (manifest['seed'], manifest['duration_seconds']) == (3, 1.5)
    assert manifest['config'] == 'model = 1'
    versions = ('python', 'torch', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain',
                'numpy', 'group_wsss')
    assert set(manifest['versions']) == set(versions)
    assert manifest['versions']['numpy'] == np.__version__
    assert (tmp_path / 'ids.txt').read_text() == 'x\ny\n'
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'ids.txt', 'manifest.json', 'x.png', 'y.png'
    ]


def test_an_unfinished_dump_leaves_the_old_one_alone(tmp_path, capsys):
    _dump(tmp_path, ['sub/x']).finish()
    assert capsys.readouterr().err == ''
    old = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
    _dump(tmp_path, ['z']).write('sub/x', np.zeros((1, 4), np.uint8))
    for path, data in old.items():
        assert path.read_bytes() == data
    assert not (tmp_path / 'z.png').exists()
    # what died is no part of the next dump
    _dump(tmp_path, ['y']).finish()
    assert capsys.readouterr().err == (
        f'{tmp_path}: labels that were there are replaced: 1\n')
    assert (tmp_path / 'ids.txt').read_text() == 'y\n'
    assert not (tmp_path / 'z.png').exists()
    assert not (tmp_path / '.unfinished').exists()


def test_a_new_dump_removes_what_it_does_not_name(tmp_path):
    out = tmp_path / 'out'
    _dump(out, ['x', 'sub/y', 'z'],
          ['x', 'sub/y', 'z']).finish(skipped={'w': 'corrupt'})
    for name in ('foreign.png', 'sub/foreign.png', 'scores/foreign.npz',
                 'scores/n.npz', 'notes.txt'):
        (out / name).write_bytes(b'mine')
    _dump(out, ['x', 'n'], ['x']).finish()
    assert _files(out) == {
        'x.png', 'n.png', 'scores/x.npz', 'ids.txt', 'manifest.json',
        'foreign.png', 'sub/foreign.png', 'scores/foreign.npz', 'notes.txt'
    }
    assert Dump.open(str(out), use_scores=False).ids == ['n', 'x']


def test_masks_of_others_are_never_removed(tmp_path):
    """Without a manifest, or with a damaged one, nothing was ours."""
    for text in (None, '{}'):
        (tmp_path / 'm.png').write_bytes(b'mask')
        (tmp_path / 'ids.txt').write_text('m\n')
        if text:
            (tmp_path / 'manifest.json').write_text(text)
        _dump(tmp_path, ['x']).finish()
        assert (tmp_path / 'm.png').read_bytes() == b'mask'
        (tmp_path / 'manifest.json').unlink()


@pytest.mark.parametrize('fail_at', range(15))
def test_an_interrupted_replacement_is_completed_later(tmp_path, monkeypatch,
                                                       fail_at):
    """What has a manifest is finished, the old one or the new one."""
    _dump(tmp_path, ['x', 'y', 'z'], ['x', 'y']).finish()
    writer = _dump(tmp_path, ['n', 'x'])
    calls = []
    with monkeypatch.context() as patch:
        for name in ('remove', 'replace'):

            def stop(*args, act=getattr(os, name)):
                calls.append(args)
                if len(calls) == fail_at + 1:
                    raise KeyboardInterrupt
                act(*args)

            patch.setattr(os, name, stop)
        with pytest.raises(KeyboardInterrupt):
            writer.finish()
    if (tmp_path / 'manifest.json').exists():
        ids = Dump.open(str(tmp_path), use_scores=False).ids
        assert ids == (['n', 'x'] if fail_at > 9 else ['x', 'y', 'z'])
        assert (tmp_path / 'n.png').exists() == (fail_at > 9)
    _dump(tmp_path, ['n']).finish()
    assert _files(tmp_path) == {'n.png', 'ids.txt', 'manifest.json'}


def test_ids_that_escape_are_refused(tmp_path):
    writer = DumpWriter(str(tmp_path / 'out'), ['a', 'b'])
    for img_id in ('../x', '/x', 'c:\\x', 'a\0'):
        with pytest.raises(InputError):
            writer.write(img_id, LABEL)
    assert list(tmp_path.rglob('*.png')) == [] and not writer.counts


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').write_text('x')
    with pytest.raises(InputError, match='file') as caught:
        DumpWriter(str(tmp_path / 'file' / 'out'), ['a'])
    assert '\n' not in str(caught.value)


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    writer = DumpWriter(str(tmp_path), ['a', 'b'])

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'replace', full)
    with pytest.raises(InputError, match='No space left') as caught:
        writer.write('x', LABEL)
    assert str(tmp_path) in str(caught.value)
    assert not [p for p in tmp_path.rglob('*') if p.is_file()]
    assert not writer.counts
    # and a new writer notices before any work is done
    with pytest.raises(InputError, match='No space left'):
        DumpWriter(str(tmp_path), ['a', 'b'])


def test_a_label_beyond_the_classes_is_a_bug(tmp_path):
    writer = DumpWriter(str(tmp_path), ['a'])
    with pytest.raises(AssertionError, match='label 2 with 1 classes'):
        writer.write('x', LABEL)
    assert list(tmp_path.iterdir()) == []


def test_sha256(tmp_path):
    data = os.urandom(3 << 20)
    (tmp_path / 'x').write_bytes(data)
    expected = hashlib.sha256(data).hexdigest()
    assert sha256_of(str(tmp_path / 'x')) == expected
