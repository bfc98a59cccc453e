# Copyright (c) group_wsss contributors. All rights reserved.
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import DumpWriter, ScoreMap

FORMATS = ('coco-instances', 'coco-semantic', 'yolo-seg', 'npz')


@pytest.fixture
def dump(tmp_path):
    """Three images with scores."""
    rng = np.random.default_rng(0)
    writer = DumpWriter(str(tmp_path / 'dump'), ['cat', 'sea lion'])
    for i in range(3):
        score_map = ScoreMap(f's/{i}', (20, 24), [0, 1], rng.random((2, 5, 6)))
        score_map.save(f'{writer.staging}/scores/s/{i}.npz')
        label = ThresholdLabeler(.6)(score_map)
        label[:i, :4] = 255
        writer.write(f's/{i}', label)
    writer.finish(image_paths={f's/{i}': f's/{i}.jpg' for i in range(3)})
    return tmp_path / 'dump'


@pytest.fixture
def refused(call_tool, capsys, tmp_path, dump):
    """The one line for a wrong input, after which nothing is there."""

    def call(*args):
        before = {path for path in tmp_path.rglob('*') if path != dump}
        with pytest.raises(SystemExit) as caught:
            call_tool('export_labels', *args)
        assert caught.value.code == 2
        lines = capsys.readouterr().err.splitlines()
        assert {path for path in tmp_path.rglob('*') if path != dump} == before
        return lines[-1]

    return call


@pytest.mark.parametrize('kind', FORMATS)
def test_formats(kind, dump, tmp_path, call_tool, capsys, monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    out = tmp_path / 'new' / 'out'
    call_tool('export_labels', dump, out, '--format', kind)
    printed = capsys.readouterr()
    assert printed.out.startswith(f'{out}: 3 images, ')
    assert '3/3' in printed.err
    assert ('scores of 3 images need about' in printed.err) == (kind == 'npz')
    ids = ['s/0', 's/1', 's/2']
    if kind.startswith('coco'):
        coco = COCO(str(out))
        assert [row['file_name'] for row in coco.imgs.values()
                ] == [f'{name}.jpg' for name in ids]
        assert [row['name']
                for row in coco.cats.values()] == ['cat', 'sea lion']
        assert ', 3 unknown pixels' not in printed.out
        assert ', 12 unknown pixels' in printed.out
    else:
        folder, suffix = (out, '.npz') if kind == 'npz' else (out / 'labels',
                                                              '.txt')
        assert sorted(str(path.relative_to(folder))
                      for path in folder.rglob('*.*')) == [
                          name + suffix for name in ids]  # yapf: disable


def test_options_arrive(dump, tmp_path, call_tool, refused):
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
        dict(id=2, file_name='s/2.jpg', height=20, width=24)
    ]
    assert min(ann['area'] for ann in data['annotations']) >= 7
    assert [
        ann['category_id'] for ann in data['annotations'] if ann['iscrowd']
    ] == [2]
    call_tool('export_labels', dump, tmp_path / 'n', '--format', 'npz',
              '--score-size', 'image', '--score-dtype', 'uint8')
    scores = np.load(tmp_path / 'n/s/1.npz')['scores']
    assert scores.shape == (2, 20, 24) and scores.dtype == np.uint8
    images = tmp_path / 'images' / 's'
    images.mkdir(parents=True)
    for i in range(3):
        Image.new('RGB', (24, 20)).save(images / f'{i}.jpg')
    call_tool('export_labels', dump, tmp_path / 'y', '--format', 'yolo-seg',
              '--images', images.parent)
    assert (tmp_path / 'y/images/s/1.jpg').is_file()
    for args, words in ((('npz', '--min-area', 3),
                         '--min-area is for coco-instances, yolo'),
                        (('yolo-seg', '--unknown', 'ignore'),
                         '--unknown is for coco-instan'),
                        (('npz', '--images', 'x'),
                         '--images is for coco-instances, coco'),
                        (('npz', '--numeric-ids'),
                         '--numeric-ids is for coco-instances, co'),
                        (('yolo-seg', '--jobs', 0),
                         '--jobs: must be positive')):
        assert words in refused(dump, tmp_path / 'o', '--format', *args)


@pytest.mark.parametrize('kind', FORMATS[1:3])
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
def test_malformed_dump(name, content, words, kind, dump, tmp_path, refused):
    path = dump / name
    if content in ('RGB', 'L'):
        Image.new(content, (4, 4), 9).save(path)
    elif isinstance(content, int):
        path.write_bytes(path.read_bytes()[:content])
    elif content is not None:
        path.write_text(content)
    else:
        shutil.rmtree(path) if path == dump else path.unlink()
    line = refused(dump, tmp_path / 'out', '--format', kind)
    assert line.startswith('error: ') and words in line
    assert 'dump' in line


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


def test_places(dump, tmp_path, refused, call_tool, monkeypatch):
    assert 'lies in ' in refused(dump, dump / 'manifest.json', '--format',
                                 'coco-semantic')
    assert 'lies in ' in refused(dump, dump / 'scores', '--format', 'npz')
    assert 'is one JSON file' in refused(dump, tmp_path, '--format',
                                         'coco-semantic')
    assert 'is a folder with something in it' in refused(
        dump, tmp_path, '--format', 'npz')
    (tmp_path / 'file').write_text('')
    assert 'file: ' in refused(dump, tmp_path / 'file' / 'out', '--format',
                               'yolo-seg')
    # labels that another tool made
    (dump / 'manifest.json').unlink()
    call_tool('export_labels', dump, tmp_path / 'out.json', '--format',
              'coco-semantic', '--classes', 2, '--suffix', '.png')
    assert COCO(str(tmp_path / 'out.json')).cats[2]['name'] == 'class 2'


def test_names_of_files(tmp_path, call_tool):
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
    for i, args in enumerate(
        (['new'], ['new',
                   *ids], ['old', '--images',
                           images], ['old', '--list',
                                     tmp_path / 'list.json'])):
        dump, *more = args
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
    with pytest.raises(SystemExit):
        call_tool('report', tmp_path / 'new', '--images', images)
