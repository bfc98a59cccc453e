# Copyright (c) group_wsss contributors. All rights reserved.
"""No mask reaches training: not its bytes, not its name."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'tests' / 'configs' / 'tiny_group_cam.py'
RECIPE = ROOT / 'configs' / 'recipes' / 'effnet-lite0_voc-layout.py'
STAGE_2 = ROOT / 'configs' / 'deeplabv3' / 'deeplabv3_tiny_toy.py'

# runs a tool with a witness of everything that is opened or listed
WITNESS = '''
import os, runpy, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def look(event, args):
    if event.split('.')[0] in ('open', 'os') and args and isinstance(
            args[0], (str, bytes)):
        name = os.fsdecode(args[0])
        if ('SegmentationClass' in name or 'labels' in name
                or name.endswith('.jpg')):
            # one write: the processes of a loader share the file
            os.write(log, (event + ' ' + name + '\\n').encode())

sys.addaudithook(look)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name='__main__')
'''


def masks_as_they_are(root):
    pass


def no_masks(root):
    shutil.rmtree(root / 'SegmentationClass')


def garbage_masks(root):
    for path in (root / 'SegmentationClass').iterdir():
        path.write_bytes(b'this is no mask')


def other_masks(root):
    for path in (root / 'SegmentationClass').iterdir():
        mask = np.full((40, 48), 3, np.uint8)
        Image.fromarray(mask).save(path)


def outcome(change, tiny_voc, folder, call_tool, monkeypatch):
    """Weights and label images of a training in a changed folder."""
    # the same path for all: it is part of the config
    root = folder / 'data'
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(tiny_voc, root)
    change(root)
    monkeypatch.setenv('DATA_ROOT', str(root))
    monkeypatch.setenv('TRAIN_LIST', 'ImageSets/train_cls.txt')
    work_dir = folder / change.__name__
    call_tool('train', CONFIG, '--work-dir', work_dir, '--cfg-options',
              'train_cfg.max_iters=4', 'default_hooks.checkpoint.interval=4')
    weights = torch.load(
        work_dir / 'iter_4.pth', weights_only=False)['state_dict']
    labels = {
        path.name: path.read_bytes()
        for path in (work_dir / 'pseudo_labels').glob('*.png')
    }
    return weights, labels


@pytest.mark.slow
def test_masks_change_nothing(tiny_voc, tmp_path, call_tool, monkeypatch,
                              capsys):
    weights, labels = outcome(masks_as_they_are, tiny_voc, tmp_path, call_tool,
                              monkeypatch)
    assert len(labels) == 8
    for change in (no_masks, garbage_masks, other_masks):
        found = outcome(change, tiny_voc, tmp_path, call_tool, monkeypatch)
        assert found[1] == labels, change.__name__
        assert found[0].keys() == weights.keys()
        for key, value in weights.items():
            assert torch.equal(found[0][key], value), (change.__name__, key)


def watched(log, *words, cwd, **env):
    """What ``tools/train.py`` opens, in this order."""
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH']
    env = {**os.environ, 'PATH': path, 'OMP_NUM_THREADS': '1', **env}
    env.pop('PYTHONPATH', None)
    done = subprocess.run([
        sys.executable, '-c', WITNESS,
        str(log),
        str(ROOT / 'tools' / 'train.py'), *map(str, words)
    ],
                          cwd=cwd,
                          env=env,
                          capture_output=True,
                          text=True,
                          timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return [row.split(' ', 1) for row in log.read_text().splitlines()]


@pytest.mark.slow
def test_stage_1_opens_no_mask(tiny_voc, tmp_path):
    """Neither this process nor those of the loaders."""
    events = watched(
        tmp_path / 'log',
        CONFIG,
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        'train_dataloader.num_workers=2',
        'test_dataloader.num_workers=2',
        cwd=tmp_path,
        DATA_ROOT=str(tiny_voc),
        TRAIN_LIST='ImageSets/train_cls.txt')
    opened = [name for event, name in events if event == 'open']
    # the witness is awake: images were read, label images written
    assert sum(name.endswith('.jpg') for name in opened) >= 16
    parts = 'pseudo_labels/.unfinished/.part'
    assert sum(parts in name for name in opened) >= 8
    assert not [name for _, name in events if 'SegmentationClass' in name]


@pytest.mark.slow
def test_stage_2_opens_masks_for_validation_alone(tiny_voc, tmp_path):
    labels = tmp_path / 'labels'
    labels.mkdir()
    for path in (tiny_voc / 'JPEGImages').iterdir():
        label = np.zeros((40, 48), np.uint8)
        label[10:30, 10:30] = 2
        Image.fromarray(label).save(labels / f'{path.stem}.png')
    train, val = 'train_dataloader.', 'val_dataloader.'
    events = watched(
        tmp_path / 'log',
        STAGE_2,
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        'train_cfg.max_iters=3',
        'train_cfg.val_interval=3',
        f'{train}batch_size=2',
        f'{train}dataset.ann_file=ImageSets/Segmentation/train.txt',
        f'{val}dataset.ann_file=ImageSets/Segmentation/val.txt',
        'model.data_preprocessor.size=(96,96)',
        cwd=tmp_path,
        TOY_ROOT=str(tiny_voc),
        PSEUDO_DIR=str(labels))
    opened = [name for event, name in events if event == 'open']
    reads = [i for i, name in enumerate(opened) if str(labels) in name]
    masks = [i for i, name in enumerate(opened) if 'SegmentationClass' in name]
    assert len(reads) >= 6
    # the control: validation does read the three masks, after all training
    assert len(masks) == 3 and min(masks) > max(reads)
    # whether they are there is looked up by their names, before training
    assert {
        event
        for event, name in events
        if event != 'open' and 'SegmentationClass' in name
    } <= {'os.listdir'}


# in every process that a recipe starts
EVERYWHERE = WITNESS.replace('sys.argv[1]',
                             'os.environ["WITNESS"]').split('sys.argv = ')[0]
SHORT = '''
_base_ = [{recipe!r}]
stages = _base_.stages
for stage in stages:
    if 'config' in stage:
        stage['config'] = {folder!r} + stage['config']
    if stage['tool'] == 'train':
        stage['options'] = dict(
            stage.get('options', dict()), **{{
                'train_cfg.max_iters': 2,
                'train_dataloader.batch_size': 2,
                'train_dataloader.num_workers': 0,
                'train_dataloader.persistent_workers': False}})
stages[1]['options'].update({{
    'group_size': 2,
    'train_dataloader.batch_sampler.match': 'any',
    'test_dataloader.dataset.match': 'any',
    'test_cfg.type': 'TestLoop',
    'test_group_size': 2}})
'''


@pytest.mark.slow
def test_no_stage_of_the_recipe_opens_a_mask(tiny_voc, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(EVERYWHERE)
    recipe = tmp_path / 'recipe.py'
    recipe.write_text(
        SHORT.format(recipe=str(RECIPE), folder=f'{RECIPE.parent}/'))
    log = tmp_path / 'log'
    done = subprocess.run([
        sys.executable,
        str(ROOT / 'tools' / 'make_labels.py'),
        str(recipe), '--work-dir',
        str(tmp_path / 'work')
    ],
                          cwd=tmp_path,
                          env=dict(
                              os.environ,
                              OMP_NUM_THREADS='1',
                              PYTHONPATH=str(tmp_path),
                              WITNESS=str(log),
                              DATA_ROOT=str(tiny_voc),
                              TRAIN_LIST='ImageSets/train_cls.txt'),
                          capture_output=True,
                          text=True,
                          timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    opened = [row.split(' ', 1)[1] for row in log.read_text().splitlines()]
    # the witness is awake in each stage
    for part in ('.jpg', 'work/classifier/pseudo_labels', 'work/labels/'):
        assert sum(part in name for name in opened) >= 8, part
    assert not [name for name in opened if 'SegmentationClass' in name]
