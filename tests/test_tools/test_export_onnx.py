# Copyright (c) group_wsss contributors. All rights reserved.
import json
from pathlib import Path

import numpy as np
import pytest

from .conftest import STAGE1, save_weights

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
ort = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

STAGE2 = Path(__file__).parents[2] / 'configs/deeplabv3/deeplabv3_tiny_toy.py'
TOOL = 'deployment/export_onnx'


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Random weights of a config."""
    folder, made = tmp_path_factory.mktemp('onnx'), {}
    for config, count in ((STAGE1, 20), (STAGE2, 7)):
        names = [f'c{i}' for i in range(count)]
        made[config] = save_weights(
            config,
            folder / f'{config.stem}.pth',
            dataset_meta=dict(classes=names))
    return made


def shapes(values):
    return {v.name: v.shape for v in values}


def test_stage1(weights, call_tool, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    out = tmp_path / 'group.onnx'
    call_tool(TOOL, STAGE1, weights[STAGE1], '--out', out, '--group-size', 3,
              '--dynamic', '--verify', '--opset', 16)
    printed, progress = capsys.readouterr()
    assert 'sizes: 3/3' in progress
    # the size of the test pipeline, and others
    assert 'at 64x64, 96x64, 64x97' in printed
    assert 0 <= float(printed.split('at most ')[1].split()[0]) < 1e-4
    model = onnx.load(out)
    onnx.checker.check_model(model)
    assert model.opset_import[0].version == 16
    session = ort.InferenceSession(out)
    assert shapes(
        session.get_inputs()) == dict(image=[3, 3, 'height', 'width'])
    assert list(shapes(session.get_outputs())) == ['scores', 'class_maps']
    facts = session.get_modelmeta().custom_metadata_map
    assert facts['group_size'] == '3' and facts['source'].endswith('.pth')
    assert json.loads(facts['classes'])[0] == 'c0'


def test_stage2(weights, call_tool, capsys):
    path = weights[STAGE2]
    call_tool(TOOL, STAGE2, path, '--size', 40, 56, '--verify')
    printed = capsys.readouterr().out
    out = path.with_suffix('.onnx')
    assert 'at 40x56\n' in printed and f'{out}: ' in printed
    session = ort.InferenceSession(out)
    assert shapes(session.get_inputs()) == dict(image=[1, 3, 40, 56])
    image = np.zeros((1, 3, 40, 56), np.float32)
    logits = session.run(None, dict(image=image))[0]
    assert logits.shape == (1, 7, 40, 56)


@pytest.mark.parametrize('config, options, words', [
    (STAGE1, ['--size', 0, 5], '--size: must be positive'),
    (STAGE1, ['--opset', 11], '--opset must be at least 14'),
    (STAGE1, ['--group-size', 0], 'group_size is 0'),
    (STAGE1, ['--classes', 'none.txt'], 'none.txt: '),
    (STAGE2, ['--group-size', 2, '--size', 8, 8], 'size is for stage 1'),
    (STAGE2, [], 'the test pipeline names no size (scale); give --size'),
    (STAGE2, ['--size', 40, 40, '--out', 'text/x.onnx'], 'text: cannot '),
])
def test_bad_input(weights, refuse, tmp_path, monkeypatch, config, options,
                   words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'text').write_text('')
    assert words in refuse(TOOL, config, weights[config], *options)
    assert not list(tmp_path.rglob('*.onnx'))


def test_weights_of_another_network(weights, refuse):
    assert 'does not fit the config' in refuse(TOOL, STAGE1, weights[STAGE2])
