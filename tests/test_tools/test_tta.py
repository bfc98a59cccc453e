# Copyright (c) group_wsss contributors. All rights reserved.
"""Scales and flips from the command line, both stages."""
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from .conftest import STAGE1, save_weights

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'tests' / 'configs' / 'tiny_group_cam_tta.py'
NUM_IMAGES = 7  # odd: one of two ranks repeats an image


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Images of different size, one or two classes in each."""
    folder = tmp_path_factory.mktemp('tta')
    (folder / 'JPEGImages').mkdir()
    rng = np.random.default_rng(5)
    tags = []
    for i in range(NUM_IMAGES):
        rough = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
        Image.fromarray(rough).resize(
            (40 + 9 * i, 90 - 8 * i),
            Image.BILINEAR).save(folder / 'JPEGImages' / f'n{i}.jpg')
        tags.append(f'n{i} {i % 3}' + f' {i % 3 + 1}' * (i % 2))
    (folder / 'list.txt').write_text('\n'.join(tags) + '\n')
    return folder


@pytest.fixture(autouse=True)
def settings(root, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', str(root))
    monkeypatch.setenv('TRAIN_LIST', 'list.txt')


@pytest.fixture(scope='module')
def checkpoint(root, tmp_path_factory):
    """Weights with class maps large enough to tell images apart."""
    path = tmp_path_factory.mktemp('weights') / 'strong.pth'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DATA_ROOT', str(root))
        patch.setenv('TRAIN_LIST', 'list.txt')
        return save_weights(CONFIG, path, strong=True)


def dump_of(work_dir):
    folder = work_dir / 'pseudo_labels'
    dump = {p.name: p.read_bytes() for p in folder.rglob('*.png')}
    assert len(dump) == NUM_IMAGES
    manifest = json.loads((folder / 'manifest.json').read_text())
    assert manifest['images'] == NUM_IMAGES
    return dump


def pixels_of(work_dir):
    paths = sorted((work_dir / 'pseudo_labels').glob('*.png'))
    return [np.asarray(Image.open(path)) for path in paths]


@pytest.fixture
def dump(checkpoint, call_tool, tmp_path, capsys):
    """The dump of a test run with these words."""

    def do(name, *words):
        call_tool('test', CONFIG, checkpoint, '--work-dir', tmp_path / name,
                  *words)
        return dump_of(tmp_path / name)

    return do


@pytest.mark.slow
def test_option_and_loop_are_one(dump, tmp_path):
    loop = dump('loop')
    # mmengine's own loop, without and with the option
    own = ['--cfg-options', 'test_cfg.type=TestLoop']
    assert dump('option', '--tta', *own) == loop
    assert dump('plain', *own) != loop
    # scales and flips move contours, and leave most of a label alone
    changed = [(a != b).mean() for a, b in zip(
        pixels_of(tmp_path / 'loop'), pixels_of(tmp_path / 'plain'))]
    assert 0 < np.mean(changed) < .5
    values = [set(np.unique(x)) for x in pixels_of(tmp_path / 'loop')]
    assert sum(len(found) > 1 for found in values) >= 5


@pytest.mark.slow
def test_training_ends_with_the_same_labels(checkpoint, call_tool, tmp_path,
                                            capsys):
    call_tool('train', CONFIG, '--work-dir', tmp_path / 'train',
              '--cfg-options', f'load_from={checkpoint}',
              'optim_wrapper.optimizer.lr=1e-3')
    call_tool('test', CONFIG, tmp_path / 'train' / 'iter_2.pth', '--work-dir',
              tmp_path / 'test')
    assert dump_of(tmp_path / 'train') == dump_of(tmp_path / 'test')
    saved = torch.load(
        tmp_path / 'train' / 'iter_2.pth', weights_only=False)['state_dict']
    assert not any(key.startswith('module.') for key in saved)


@pytest.mark.slow
def test_labels_of_another_batch_size(dump, tmp_path):
    for size in (1, 3):
        dump(
            str(size), '--cfg-options', f'test_dataloader.batch_size={size}',
            'test_dataloader.dataset.group_size=3')
    for one, two in zip(pixels_of(tmp_path / '1'), pixels_of(tmp_path / '3')):
        # up to a pixel that lies on the threshold
        assert one.shape == two.shape and (one != two).mean() < 2e-3


@pytest.mark.slow
@pytest.mark.skipif(
    not torch.distributed.is_available()
    or not torch.distributed.is_gloo_available() or torch.cuda.is_available(),
    reason='for CPUs with gloo')
def test_two_processes_write_the_same_bytes(root, dump, checkpoint, tmp_path):
    """As typed: `dist_test.sh` gives one thread each, `test.py` has all."""
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH']
    env = {**os.environ, 'PATH': path, 'PORT': free_port()}
    del env['OMP_NUM_THREADS']

    def typed(name, *command):
        done = subprocess.run(
            [*command, '--tta', '--work-dir', tmp_path / name],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=300)
        text = done.stdout + done.stderr
        assert done.returncode == 0, text[-4000:]
        return dump_of(tmp_path / name), text

    two, text = typed('two', 'bash', ROOT / 'tools' / 'dist_test.sh', CONFIG,
                      checkpoint, '2')
    assert ', 2 processes\n' in text
    assert two == dump('one')
    # other numbers of threads sum in another order: a pixel may change side
    typed('all', sys.executable, ROOT / 'tools' / 'test.py', CONFIG,
          checkpoint)
    for a, b in zip(pixels_of(tmp_path / 'two'), pixels_of(tmp_path / 'all')):
        assert a.shape == b.shape and (a != b).mean() < 1e-3


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return str(sock.getsockname()[1])


def test_refusals(checkpoint, tmp_path, refuse):

    def line(config, *options):
        return refuse('test', config, checkpoint, '--tta', '--work-dir',
                      tmp_path / 'w', '--cfg-options', *options)

    where = tmp_path / 'no.py'
    where.write_text(f"_base_ = ['{STAGE1}']\ndel _base_.tta_model\n")
    assert line(where, 'seed=0') == (
        f'error: {where}: --tta needs tta_model and tta_pipeline')
    assert line(CONFIG, 'test_cfg.type=ValLoop') == (
        f'error: {CONFIG}: --tta replaces TestLoop, but test_cfg.type is '
        'ValLoop')
    keys = 'tta_pipeline.1.transforms.2.0.meta_keys'
    assert "put 'flip' and 'flip_direction' into" in line(
        CONFIG, f'{keys}=img_id,ori_shape,img_path,group_slot')
    assert not list((tmp_path / 'w').rglob('manifest.json'))


def test_stage_2(tiny_voc, tmp_path, call_tool, capsys):
    """mmseg's own model of this kind goes through the same loop."""
    cfg = Config.fromfile(ROOT / 'configs/deeplabv3/deeplabv3_tiny_toy.py')
    data = ROOT / 'configs/_base_/datasets/voc12_pseudo_seg.py'
    cfg.tta_pipeline = Config.fromfile(data).tta_pipeline
    scales = cfg.tta_pipeline[1].transforms
    scales[0] = scales[0][1:3]
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    data = cfg.test_dataloader.dataset
    data.update(
        data_root=str(tiny_voc),
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'))
    cfg.dump(tmp_path / 'seg.py')
    save_weights(tmp_path / 'seg.py', tmp_path / 'seg.pth')
    call_tool('test', tmp_path / 'seg.py', tmp_path / 'seg.pth', '--tta',
              '--work-dir', tmp_path / 'w', '--out', tmp_path / 'png')
    assert 'mIoU' in capsys.readouterr().out
    assert len(list((tmp_path / 'png').glob('*.png'))) == 3


@pytest.mark.parametrize('name', ['toy_cls', 'voc12_cls', 'voc_layout_cls'])
def test_shipped_pipelines(name):
    cfg = Config.fromfile(ROOT / f'configs/_base_/datasets/{name}.py')
    assert cfg.tta_model.type == 'group_wsss.GroupCAMTTA'
    load, views = cfg.tta_pipeline
    sizes, flips, pack = views.transforms
    # what the model was trained on is one of them
    side = cfg.get('image_size', (96, 96))
    assert tuple(side) in [tuple(step.scale) for step in sizes]
    assert len({step.scale for step in sizes}) == len(sizes) > 1
    assert [step.prob for step in flips] == [0., 1.]
    assert load == cfg.test_pipeline[0] and pack == cfg.test_pipeline[-1:]
    assert {'flip', 'flip_direction', 'ori_shape'} <= set(pack[0].meta_keys)
