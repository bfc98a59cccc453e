# Copyright (c) group_wsss contributors. All rights reserved.
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from group_wsss.structures import DumpWriter, encode_index_png
from .conftest import make_dump

IDS = ['s/0', 's/1', 's/2']


@pytest.fixture
def dump(tmp_path):
    """Three images with scores; more and more pixels are unknown."""
    made = make_dump(
        tmp_path, 3, 's/{}', image_paths={name: f'{name}.png'
                                          for name in IDS})
    for i in (1, 2):
        path = made / f's/{i}.png'
        label = np.array(Image.open(path))
        label[:i, :4] = 255
        path.write_bytes(encode_index_png(label))
    return made


@pytest.fixture
def refused(refuse, tmp_path, dump):
    """The one line for a wrong input, after which nothing is there."""

    def call(*args):
        before = {path for path in tmp_path.rglob('*') if path != dump}
        line = refuse('export_labels', *args)
        assert {path for path in tmp_path.rglob('*') if path != dump} == before
        return line

    return call


@pytest.mark.parametrize(
    'kind', ('coco-instances', 'coco-semantic', 'yolo-seg', 'npz'))
def test_formats(kind, dump, tmp_path, call_tool, capsys, monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    out = tmp_path / 'new' / 'out'
    call_tool('export_labels', dump, out, '--format', kind)
    printed = capsys.readouterr()
    assert printed.out.startswith(f'{out}: 3 images, ')
    assert '3/3' in printed.err
    assert ('scores of 3 images need about' in printed.err) == (kind == 'npz')
    if kind.startswith('coco'):
        coco = COCO(str(out))
        assert [row['file_name'] for row in coco.imgs.values()
                ] == [f'{name}.png' for name in IDS]
        assert [row['name']
                for row in coco.cats.values()] == ['cat', 'sea lion']
        assert ', 12 unknown pixels' in printed.out
    else:
        folder, suffix = (out, '.npz') if kind == 'npz' else (out / 'labels',
                                                              '.txt')
        assert sorted(str(path.relative_to(folder))
                      for path in folder.rglob('*.*')) == [
                          name + suffix for name in IDS]  # yapf: disable


def test_options_arrive(dump, tmp_path, call_tool):
    (tmp_path / 'list.txt').write_text('s/2 1\n')
    call_tool('export_labels', dump, tmp_path / 'a.json', '--format',
              'coco-instances', '--unknown', 'ignore', '--min-area', 7,
              '--connectivity', 4, '--numeric-ids', '--list',
              tmp_path / 'list.txt')
    data = json.loads((tmp_path / 'a.json').read_text())
    assert data['info'] == dict(
        description='label images of group_wsss',
        format='coco-instances',
        connectivity=4,
        min_area=7,
        unknown='ignore')
    assert data['images'] == [
        dict(id=2, file_name='s/2.png', height=20, width=24)
    ]
    assert min(ann['area'] for ann in data['annotations']) >= 7
    assert [
        ann['category_id'] for ann in data['annotations'] if ann['iscrowd']
    ] == [2]
    call_tool('export_labels', dump, tmp_path / 'n', '--format', 'npz',
              '--score-size', 'image', '--score-dtype', 'uint8')
    scores = np.load(tmp_path / 'n/s/1.npz')['scores']
    assert scores.shape == (2, 20, 24) and scores.dtype == np.uint8
    call_tool('export_labels', dump, tmp_path / 'y', '--format', 'yolo-seg',
              '--images', tmp_path / 'photos')
    assert (tmp_path / 'y/images/s/1.png').is_file()


@pytest.mark.parametrize('args, words', [
    (('npz', '--min-area', 3), '--min-area is for coco-instances, yolo'),
    (('yolo-seg', '--unknown', 'ignore'), '--unknown is for coco-instan'),
    (('npz', '--images', 'x'), '--images is for coco-instances, coco'),
    (('npz', '--numeric-ids'), '--numeric-ids is for coco-instances, co'),
    (('yolo-seg', '--jobs', 0), '--jobs: must be positive'),
])
def test_options_of_other_formats(args, words, dump, tmp_path, refused):
    assert words in refused(dump, tmp_path / 'o', '--format', *args)


@pytest.mark.parametrize(
    'name, content, words',
    (('s/1.png', 'text', 's/1.png: cannot be read as an image'),
     ('s/2.png', 70, 's/2.png: cannot be read as an image'),
     ('s/0.png', 'RGB', 's/0.png: not an index PNG'),
     ('s/0.png', 'L', 's/0.png: value 9 is neither one of 3 classes nor 255'),
     ('s/1.png', None, '1 of 3 images have no label: s/1'),
     ('manifest.json', '{"classes": ', 'manifest.json: not JSON'),
     ('manifest.json', '{"classes": ["background"]}',
      "manifest.json: 'classes' must be a list"),
     ('manifest.json', None,
      'has no manifest.json, so it is no finished dump'),
     ('ids.txt', 's/0\n../s/1\n', 'ids.txt:2: image id'),
     ('ids.txt', 's/0\ns/0\n', "ids.txt:2: image id 's/0' is already on "
      'line 1'), ('', None, 'dump: no such folder')))
def test_malformed_dump(name, content, words, dump, tmp_path, refused):
    path = dump / name
    if content in ('RGB', 'L'):
        Image.new(content, (4, 4), 9).save(path)
    elif isinstance(content, int):
        path.write_bytes(path.read_bytes()[:content])
    elif content is not None:
        path.write_text(content)
    else:
        shutil.rmtree(path) if path == dump else path.unlink()
    for kind in ('coco-semantic', 'yolo-seg'):
        line = refused(dump, tmp_path / 'out', '--format', kind)
        assert words in line and 'dump' in line


def test_malformed_scores(dump, tmp_path, refused):
    args = dump, tmp_path / 'out', '--format', 'npz'
    path = dump / 'scores' / 's' / '1.npz'
    shutil.copy(dump / 'scores' / 's' / '0.npz', path)
    assert "1.npz: holds the maps of image 's/0'" in refused(*args)
    path.write_bytes(path.read_bytes()[:99])
    assert '1.npz: not a score map' in refused(*args)
    path.unlink()
    assert '1 of 3 images have no scores' in refused(*args)
    shutil.rmtree(dump / 'scores')
    assert 'holds no scores; dump with tools/test.py --keep' in refused(*args)


def test_places(dump, tmp_path, refused, call_tool):
    (tmp_path / 'file').write_text('')
    for out, kind, words in ((dump / 'manifest.json', 'coco-semantic',
                              f'lies in {dump}, where'),
                             (dump / 'scores', 'npz',
                              f'lies in {dump}, where'),
                             (tmp_path, 'coco-semantic', 'is one JSON file'),
                             (tmp_path, 'npz',
                              'is a folder with something in it'),
                             (tmp_path / 'file' / 'out', 'yolo-seg',
                              'file: ')):
        assert words in refused(dump, out, '--format', kind)
    # labels that another tool made
    (dump / 'manifest.json').unlink()
    call_tool('export_labels', dump, tmp_path / 'out.json', '--format',
              'coco-semantic', '--classes', 2, '--suffix', '.png')
    assert COCO(str(tmp_path / 'out.json')).cats[2]['name'] == 'class 2'


def test_names_of_files(tmp_path, call_tool, refuse):
    """As the dump, its list or the folder has them; ids with blanks too."""
    names = {
        'a 1': 'cat/a 1.JPG',
        'b': 'dog/b.JPEG',
        'c+d#%': 'x y/c+d#%.PNG',
        'e\u0301': 'e\u0301.jfif'
    }
    images = tmp_path / 'images'
    for dump, paths in (('new', names), ('old', {})):
        writer = DumpWriter(str(tmp_path / dump), ['cat'])
        for img_id, name in names.items():
            writer.write(img_id, np.ones((6, 8), np.uint8))
            (images / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (8, 6)).save(images / name, format='PNG')
        writer.finish(image_paths=paths)
    entries = [dict(id=key, path=name) for key, name in names.items()]
    (tmp_path / 'list.json').write_text(json.dumps(dict(images=entries)))
    ids = ('--list', tmp_path / 'new' / 'ids.txt')
    for i, (dump, *more) in enumerate((
        ['new'],
        ['new', *ids],
        ['old', '--images', images],
        ['old', '--list', tmp_path / 'list.json'],
    )):
        out = tmp_path / f'{i}.json', tmp_path / f'yolo{i}'
        call_tool('export_labels', tmp_path / dump, out[0], '--format',
                  'coco-semantic', *more)
        rows = json.loads(out[0].read_text())['images']
        assert sorted(row['file_name']
                      for row in rows) == sorted(names.values())
        call_tool('export_labels', tmp_path / dump, out[1], '--format',
                  'yolo-seg', *more)
        lines = (out[1] / 'images.txt').read_text().splitlines()
        assert sorted(lines) == sorted(f'./images/{n}' for n in names.values())
        for name in names.values():
            label = out[1] / 'labels' / name
            assert label.with_suffix('.txt').read_text().startswith('0 0.')
    call_tool('report', tmp_path / 'new', '--images', images, *ids)
    (images / names['b']).unlink()
    (images / 'b.jpg').write_bytes(b'another one')
    refuse('report', tmp_path / 'new', '--images', images)
