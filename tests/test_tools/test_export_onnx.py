# Copyright (c) group_wsss contributors. All rights reserved.
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
ort = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

ROOT = Path(__file__).resolve().parents[2]
STAGE1 = ROOT / 'tests' / 'configs' / 'tiny_group_cam.py'
STAGE2 = ROOT / 'configs' / 'deeplabv3' / 'deeplabv3_tiny_toy.py'
TOOL = 'deployment/export_onnx'


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Random weights of a config."""
    folder = tmp_path_factory.mktemp('onnx')

    def make(config):
        path = folder / f'{config.stem}.pth'
        if not path.is_file():
            cfg = Config.fromfile(config)
            torch.manual_seed(0)
            with DefaultScope.overwrite_default_scope(cfg.default_scope):
                net = MODELS.build(cfg.model)
            count = 20 if config == STAGE1 else 7
            names = [f'c{i}' for i in range(count)]
            meta = dict(dataset_meta=dict(classes=names))
            torch.save(dict(state_dict=net.state_dict(), meta=meta), path)
        return path

    return make


def shapes(values):
    return {v.name: v.shape for v in values}


def test_stage1(weights, call_tool, tmp_path, capsys):
    out = tmp_path / 'group.onnx'
    call_tool(TOOL, STAGE1, weights(STAGE1), '--out', out, '--group-size', 3,
              '--dynamic', '--verify')
    printed = capsys.readouterr().out
    # the size of the test pipeline, and others
    assert 'at 64x64, 96x64, 64x97' in printed
    gap = float(printed.split('at most ')[1].split()[0])
    assert 0 <= gap < 1e-4
    session = ort.InferenceSession(out)
    assert shapes(
        session.get_inputs()) == dict(image=[3, 3, 'height', 'width'])
    assert list(shapes(session.get_outputs())) == ['scores', 'class_maps']
    facts = session.get_modelmeta().custom_metadata_map
    assert facts['group_size'] == '3' and facts['source'].endswith('.pth')
    assert json.loads(facts['classes'])[0] == 'c0'


def test_stage2(weights, call_tool, capsys):
    path = weights(STAGE2)
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
    ('none.py', [], 'none.py: no such config file'),
    (STAGE1, ['--size', 0, 5], None),
    (STAGE1, ['--opset', 11], None),
    (STAGE1, ['--group-size', 0], 'group_size is 0'),
    (STAGE1, ['--classes', 'none.txt'], 'none.txt: '),
    (STAGE2, ['--group-size', 2, '--size', 8, 8], 'size is for stage 1'),
    (STAGE2, [], 'the test pipeline names no size (scale); give --size'),
    (STAGE2, ['--size', 40, 40, '--out', 'text/x.onnx'], 'text: cannot '),
])
def test_bad_input(weights, call_tool, tmp_path, monkeypatch, capsys, config,
                   options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'text').write_text('')
    path = 'x.pth' if config == 'none.py' else weights(config)
    with pytest.raises(SystemExit) as left:
        call_tool(TOOL, config, path, *options)
    assert left.value.code == 2
    err = capsys.readouterr().err
    if words is not None:
        assert [
            words in line for line in err.splitlines()
            if line.startswith('error: ')
        ] == [True]
    assert not list(tmp_path.rglob('*.onnx'))


@pytest.mark.slow
def test_from_the_shell():
    done = subprocess.run([sys.executable, f'tools/{TOOL}.py', '--help'],
                          cwd=ROOT,
                          capture_output=True,
                          text=True)
    assert done.returncode == 0 and '--dynamic' in done.stdout, done.stderr


def test_weights_of_another_network(weights, call_tool, capsys):
    with pytest.raises(SystemExit):
        call_tool(TOOL, STAGE1, weights(STAGE2))
    assert 'does not fit the config' in capsys.readouterr().err
