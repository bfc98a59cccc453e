# Copyright (c) group_wsss contributors. All rights reserved.
"""tools/dataset_converters/from_*.py as they are typed."""
import json

import numpy as np
import pytest

LIST = dict(
    classes=['cat', 'dog'],
    images=[
        dict(id='a', path='a.png', labels=[0, 1]),
        dict(id='b', path='b.png', labels=[1])
    ])


@pytest.fixture
def sources(tmp_path):
    """One source for each tool, and the arguments it needs."""
    for name in ('cat/a.png', 'dog/a.png', 'dog/b.png', 'flat/a.png',
                 'flat/b.png'):
        path = tmp_path / 'pool' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name[-5:].encode())
    (tmp_path / 'pool/flat').rename(tmp_path / 'flat')
    (tmp_path / 'tags.tsv').write_text('name\tlabels\na\tdog|cat\nb\tdog\n')
    content = dict(
        images=[dict(id=i, file_name=f'{"ab"[i]}.png') for i in (0, 1)],
        annotations=[
            dict(image_id=i, category_id=c)
            for i, c in ((0, 0), (0, 1), (1, 1))
        ],
        categories=[dict(id=0, name='cat'),
                    dict(id=1, name='dog')])
    (tmp_path / 'coco.json').write_text(json.dumps(content))
    (tmp_path / 'xml').mkdir()
    for img_id, tags in (('a', ('cat', 'dog')), ('b', ('dog', ))):
        (tmp_path / f'xml/{img_id}.xml').write_text('<annotation>' + ''.join(
            f'<object><name>{tag}</name></object>'
            for tag in tags) + '</annotation>')
    np.save(tmp_path / 'l.npy', dict(a=np.ones(2), b=np.array([0., 1.])))
    (tmp_path / 'names.txt').write_text('cat\ndog\n')
    (tmp_path / 'studio.json').write_text(
        json.dumps([
            dict(
                photo='/data/upload/1/0a1b2c3d-a.png',
                choice='cat',
                box=[dict(rectanglelabels=['dog'])]),
            dict(photo='b.png', choice='dog')
        ]))
    (tmp_path / 'cvat.xml').write_text(
        '<annotations><image name="a.png"><tag label="dog"/><box label="cat"/>'
        '</image><image name="b.png"><tag label="dog"/></image>'
        '</annotations>')
    return tmp_path


TOOLS = {
    'folders': ['pool', '--images', 'flat'],
    'csv': [
        'tags.tsv', '--id-column', 'name', '--tags-column', 'labels',
        '--separator', '|', '--suffix', '.png'
    ],
    'coco': ['coco.json'],
    'voc_xml': ['xml', '--suffix', '.png'],
    'npy': ['l.npy', '--classes', 'names.txt', '--images', 'flat'],
    'label_studio':
    ['studio.json', '--image-key', 'photo', '--regions', '--strip-upload'],
    'cvat': ['cvat.xml', '--shapes', '--classes', 'names.txt'],
}


@pytest.mark.parametrize('name', TOOLS)
def test_list(name, sources, call_tool, capsys, monkeypatch):
    monkeypatch.chdir(sources)
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    call_tool(f'dataset_converters/from_{name}', *TOOLS[name], '-o',
              'out/list.json')
    printed, progress = capsys.readouterr()
    assert ('2/2' in progress) == (name == 'voc_xml')
    assert printed == ('out/list.json: 2 images, 2 classes\n'
                       'warning: fewer images than a group (4): cat 1, dog 2\n'
                       'images of each class, rarest first: cat 1, dog 2\n')
    text = (sources / 'out/list.json').read_text()
    assert text == json.dumps(LIST, indent=1) + '\n'


@pytest.mark.parametrize('name', TOOLS)
def test_wrong_input_is_one_line(name, sources, refuse, monkeypatch):
    monkeypatch.chdir(sources)
    (sources / 'old.json').write_text('old')
    line = refuse(f'dataset_converters/from_{name}', 'nowhere.csv',
                  *TOOLS[name][1:], '-o', 'old.json')
    assert line.startswith('error: nowhere.csv: ')
    assert (sources / 'old.json').read_text() == 'old'


@pytest.mark.parametrize('name, arguments, message', [
    ('folders', ['pool', '-o', 'x.txt'], 'x.txt: image lists are written as'),
    ('npy', ['l.npy', '-o', 'x.json'], 'l.npy: holds no class names'),
    ('cvat', ['cvat.xml', '-o', 'x.json', '--images', 'xml'],
     "cvat.xml: image[0]: no image 'a' in xml (2 of 2 are missing: a"),
    ('cvat', ['cvat.xml', '-o', 'x.json', '--classes', '1'],
     "cvat.xml: image[0]: 'dog' is not among the classes"),
])  # yapf: disable
def test_options(name, arguments, message, sources, refuse, monkeypatch):
    monkeypatch.chdir(sources)
    assert f'error: {message}' in refuse(f'dataset_converters/from_{name}',
                                         *arguments)
    assert not (sources / 'x.json').exists()


def test_classes_of_others(sources, call_tool, monkeypatch):
    monkeypatch.chdir(sources)
    call_tool('dataset_converters/from_coco', 'coco.json', '-o', 'x.json',
              '--classes', 'voc')
    content = json.loads((sources / 'x.json').read_text())
    assert len(content['classes']) == 20
    assert content['images'][0]['labels'] == [7, 11]
