# Copyright (c) group_wsss contributors. All rights reserved.
"""Our configs in the train.py and test.py that mmseg and mmpretrain install.

``mim train PACKAGE CONFIG`` runs the same files.
"""
import importlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from group_wsss.datasets import generate_toy
from group_wsss.structures import read_index_png
from group_wsss.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
STAGE1 = ROOT / 'configs/group_wsss/toy.py'
STAGE2 = ROOT / 'configs/deeplabv3/deeplabv3_tiny_toy.py'
# a network of a few channels, two iterations
SMALL1 = [
    'model.backbone.base_channels=4', 'model.backbone.stem_channels=4',
    'model.neck.in_channels=16', 'model.neck.coattention.key_channels=8',
    'model.head.in_channels=16', 'train_cfg.max_iters=2',
    'train_dataloader.batch_size=8', 'test_dataloader.dataset.group_size=2'
]
SMALL2 = [
    'model.backbone.base_channels=4', 'model.backbone.stem_channels=4',
    'model.decode_head.in_channels=32', 'model.decode_head.channels=8',
    'train_cfg.max_iters=2', 'train_cfg.val_interval=2',
    'train_dataloader.batch_size=4'
]


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    root = tmp_path_factory.mktemp('mim') / 'toy'
    generate_toy(root, num_train=12, num_val=2, size=32)
    return root


@pytest.fixture
def tool(toy, monkeypatch):
    """Run a tool of an installed package, in this process."""
    monkeypatch.setenv('TOY_ROOT', str(toy))
    monkeypatch.setenv('LOCAL_RANK', '0')  # which the tools set
    monkeypatch.setattr(Runner, '_log_env', lambda *args: None)

    def call(package, name, *args):
        root = Path(importlib.import_module(package).__path__[0])
        path = root / '.mim' / 'tools' / f'{name}.py'
        if not path.is_file():
            pytest.skip(f'this {package} was installed without its tools')
        monkeypatch.setattr(sys, 'argv', [str(path), *map(str, args)])
        runpy.run_path(str(path), run_name='__main__')

    return call


def read_labels(folder, ids):
    assert {path.stem for path in folder.glob('*.png')} == set(ids)
    return np.stack([read_index_png(str(folder / f'{i}.png')) for i in ids])


@pytest.mark.slow
def test_both_stages(tool, toy, tmp_path, monkeypatch):
    ids = (toy / 'ImageSets/train.txt').read_text().split()
    tool('mmpretrain', 'train', STAGE1, '--work-dir', tmp_path / 'one',
         '--cfg-options', *SMALL1)
    labels = read_labels(tmp_path / 'one/pseudo_labels', ids)
    assert set(np.unique(labels)) <= {*range(7), 255}

    tool('mmpretrain', 'test', STAGE1, tmp_path / 'one/iter_2.pth',
         '--work-dir', tmp_path / 'again', '--cfg-options', *SMALL1)
    assert np.array_equal(
        read_labels(tmp_path / 'again/pseudo_labels', ids), labels)

    monkeypatch.setenv('PSEUDO_DIR', str(tmp_path / 'one/pseudo_labels'))
    tool('mmseg', 'train', STAGE2, '--work-dir', tmp_path / 'two',
         '--cfg-options', *SMALL2)
    tool('mmseg', 'test', STAGE2, tmp_path / 'two/iter_2.pth', '--work-dir',
         tmp_path / 'tested', '--out', tmp_path / 'out', '--cfg-options',
         *SMALL2)
    assert len(list((tmp_path / 'out').glob('*.png'))) == 2


@pytest.fixture
def variant(tmp_path):
    """The config of stage 1 with more lines; its path."""

    def write(lines, runner='group_wsss.DataRunner'):
        path = tmp_path / 'variant.py'
        path.write_text(f'_base_ = {str(STAGE1)!r}\n'
                        f'runner_type = {runner!r}\n{lines}\n')
        return path

    return write


COUNTED = "model = dict(head=dict(num_classes='from_data'))\n"


@pytest.mark.slow
def test_the_runner_counts_the_classes(tool, variant, tmp_path):
    """``num_classes='from_data'`` without our tools."""
    config = variant(f'{COUNTED}test_cfg = test_dataloader = None\n'
                     'test_evaluator = None')
    tool('mmpretrain', 'train', config, '--work-dir', tmp_path / 'work',
         '--cfg-options', *SMALL1[:-1])
    saved = Config.fromfile(tmp_path / 'work/variant.py')
    assert saved.model.head.num_classes == 6


@pytest.mark.parametrize('lines, runner, words', [
    (COUNTED, 'Runner', "runner_type='group_wsss.DataRunner'"),
    ('model = dict(head=dict(num_classes=7))\n'
     'data = dict(type="group_wsss.ImageLevelDataset", metainfo=dict('
     'classes=list("abcdef")), data_root="{toy}")\n'
     'train_dataloader = dict(dataset=data)', 'group_wsss.DataRunner',
     'num_classes is 7'),
])
def test_one_line_says_what_to_do(lines, runner, words, tool, toy, variant,
                                  tmp_path):
    config = variant(lines.replace('{toy}', str(toy)), runner)
    with pytest.raises(InputError) as error:
        tool('mmpretrain', 'train', config, '--work-dir', tmp_path / 'w',
             '--cfg-options', *SMALL1)
    assert words in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
    'path', [
        path for path in sorted((ROOT / 'configs').rglob('*.py'))
        if 'from_data' in path.read_text()
    ],
    ids=lambda path: path.stem)
def test_configs_that_count_name_the_runner(path):
    assert Config.fromfile(path).runner_type == 'group_wsss.DataRunner'


@pytest.mark.slow
@pytest.mark.parametrize('config, package', [(STAGE1, 'mmpretrain'),
                                             (STAGE2, 'mmseg')])
def test_every_tool_runs_the_hooks_of_the_config(config, package, tool, toy,
                                                 tmp_path, monkeypatch):
    """Ours registers none; so do those that ``mim train`` starts."""
    monkeypatch.setenv('PSEUDO_DIR', str(toy / 'SegmentationClass'))
    found = []
    monkeypatch.setattr(
        Runner, 'train',
        lambda runner: found.append([(type(hook), hook.priority)
                                     for hook in runner.hooks]))
    small = SMALL1 if config == STAGE1 else SMALL2
    tool(package, 'train', config, '--work-dir', tmp_path / 'theirs',
         '--cfg-options', *small)
    monkeypatch.setattr(sys, 'argv', [
        'tools/train.py',
        str(config), '--work-dir',
        str(tmp_path / 'ours'), '--cfg-options', *small
    ])
    runpy.run_path(str(ROOT / 'tools/train.py'), run_name='__main__')
    ours, theirs = found
    assert ours == theirs
    names = {kind.__name__ for kind, _ in ours}
    assert names >= {
        'AtomicCheckpointHook', 'EpochSummaryHook', 'GroupResumeHook',
        'NonFiniteHook', 'PreemptionHook', 'RandomStateHook', 'RunSummaryHook',
        'SafeLoadingHook', 'SkippedImagesHook', 'ValidationResumeHook'
    }
    # each once, all from the config
    cfg = Config.fromfile(tmp_path / 'ours' / config.name)
    assert len(names) == len(ours) == len(cfg.default_hooks) + 1  # RuntimeInfo
