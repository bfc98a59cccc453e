# Copyright (c) group_wsss contributors. All rights reserved.
"""No mask reaches training: not its bytes, not its name."""
import shutil
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


def no_masks(root):
    shutil.rmtree(root / 'SegmentationClass')


def garbage_masks(root):
    for path in (root / 'SegmentationClass').iterdir():
        path.write_bytes(b'this is no mask')


def other_masks(root):
    for path in (root / 'SegmentationClass').iterdir():
        Image.new('L', (48, 40), 3).save(path)


@pytest.mark.slow
def test_masks_change_nothing(tiny_voc, tmp_path, call_tool, monkeypatch,
                              capsys):
    """Neither weights nor label images of a training."""
    # the same path for all: it is part of the config
    root = tmp_path / 'data'
    monkeypatch.setenv('DATA_ROOT', str(root))
    monkeypatch.setenv('TRAIN_LIST', 'ImageSets/train_cls.txt')
    found = []
    for change in (lambda root: None, no_masks, garbage_masks, other_masks):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(tiny_voc, root)
        change(root)
        work = tmp_path / f'work{len(found)}'
        call_tool('train', CONFIG, '--work-dir', work, '--cfg-options',
                  'train_cfg.max_iters=4',
                  'default_hooks.checkpoint.interval=4')
        labels = {
            path.name: path.read_bytes()
            for path in (work / 'pseudo_labels').glob('*.png')
        }
        state = torch.load(work / 'iter_4.pth', weights_only=False)
        found.append((labels, state['state_dict']))
    assert len(found[0][0]) == 8
    for labels, weights in found[1:]:
        assert labels == found[0][0]
        torch.testing.assert_close(weights, found[0][1], rtol=0, atol=0)


@pytest.fixture
def watched(start, tmp_path):
    """What ``tools/train.py`` opens and looks up, in this order."""

    def call(config, *options, **env):
        log = tmp_path / 'log'
        done = start(
            sys.executable,
            '-c',
            WITNESS,
            log,
            ROOT / 'tools' / 'train.py',
            config,
            '--work-dir',
            tmp_path / 'work',
            '--cfg-options',
            *options,
            cwd=tmp_path,
            **env)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        rows = [row.split(' ', 1) for row in log.read_text().splitlines()]
        return [name for event, name in rows if event == 'open'], rows

    return call


@pytest.mark.slow
def test_stage_1_opens_no_mask(tiny_voc, watched):
    """Neither this process nor those of the loaders."""
    opened, events = watched(
        CONFIG,
        'train_dataloader.num_workers=2',
        'test_dataloader.num_workers=2',
        DATA_ROOT=tiny_voc,
        TRAIN_LIST='ImageSets/train_cls.txt')
    # the witness is awake: images were read, label images written
    assert sum(name.endswith('.jpg') for name in opened) >= 16
    parts = 'pseudo_labels/.unfinished/.part'
    assert sum(parts in name for name in opened) >= 8
    assert not [name for _, name in events if 'SegmentationClass' in name]


@pytest.mark.slow
def test_stage_2_opens_masks_for_validation_alone(tiny_voc, tmp_path, watched):
    labels = tmp_path / 'labels'
    labels.mkdir()
    label = np.zeros((40, 48), np.uint8)
    label[10:30, 10:30] = 2
    for path in (tiny_voc / 'JPEGImages').iterdir():
        Image.fromarray(label).save(labels / f'{path.stem}.png')
    opened, events = watched(
        STAGE_2,
        'train_cfg.max_iters=3',
        'train_cfg.val_interval=3',
        'train_dataloader.batch_size=2',
        'train_dataloader.dataset.ann_file=ImageSets/Segmentation/train.txt',
        'val_dataloader.dataset.ann_file=ImageSets/Segmentation/val.txt',
        'model.data_preprocessor.size=(96,96)',
        TOY_ROOT=tiny_voc,
        PSEUDO_DIR=labels)
    reads = [i for i, name in enumerate(opened) if str(labels) in name]
    masks = [i for i, name in enumerate(opened) if 'SegmentationClass' in name]
    assert len(reads) >= 6
    # the control: validation does read the three masks, after all training
    assert len(masks) == 3 and min(masks) > max(reads)
    # whether they are there is looked up by their names, before training
    assert {event
            for event, name in events
            if 'SegmentationClass' in name} <= {'open', 'os.listdir'}


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
def test_no_stage_of_the_recipe_opens_a_mask(tiny_voc, tmp_path, start):
    (tmp_path / 'sitecustomize.py').write_text(EVERYWHERE)
    recipe = tmp_path / 'recipe.py'
    recipe.write_text(
        SHORT.format(recipe=str(RECIPE), folder=f'{RECIPE.parent}/'))
    log = tmp_path / 'log'
    done = start(
        sys.executable,
        ROOT / 'tools' / 'make_labels.py',
        recipe,
        '--work-dir',
        tmp_path / 'work',
        cwd=tmp_path,
        PYTHONPATH=tmp_path,
        WITNESS=log,
        DATA_ROOT=tiny_voc,
        TRAIN_LIST='ImageSets/train_cls.txt')
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    opened = [row.split(' ', 1)[1] for row in log.read_text().splitlines()]
    # the witness is awake in each stage
    for part in ('.jpg', 'work/classifier/pseudo_labels', 'work/labels/'):
        assert sum(part in name for name in opened) >= 8, part
    assert not [name for name in opened if 'SegmentationClass' in name]
