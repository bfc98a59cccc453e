# Copyright (c) group_wsss contributors. All rights reserved.
"""Two machines train on CPUs; launchers hand arguments on."""
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'tests' / 'configs' / 'tiny_group_cam.py'
NUM_IMAGES = 7  # odd: one of two ranks repeats an image
# images keep their shape: a group holds different sizes
OPTIONS = [
    '--cfg-options', 'test_dataloader.dataset.dataset.pipeline.1.keep_ratio='
    'True', 'group_size=3', 'train_dataloader.batch_size=6'
]

pytestmark = [
    pytest.mark.skipif(
        not torch.distributed.is_available()
        or not torch.distributed.is_gloo_available(),
        reason='this torch has no gloo'),
    pytest.mark.skipif(torch.cuda.is_available(), reason='for CPUs')
]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Seven images of different size, one or two classes in each."""
    root = tmp_path_factory.mktemp('odd')
    (root / 'JPEGImages').mkdir()
    rng = np.random.default_rng(3)
    tags = []
    for i in range(NUM_IMAGES):
        rough = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
        Image.fromarray(rough).resize(
            (40 + 9 * i, 90 - 8 * i),
            Image.BILINEAR).save(root / 'JPEGImages' / f'odd_{i}.jpg')
        tags.append(f'odd_{i} {i % 3}' + f' {i % 3 + 1}' * (i % 2))
    (root / 'list.txt').write_text('\n'.join(tags) + '\n')
    return root


@pytest.fixture
def settings(data, monkeypatch):
    """The config reads the folder above."""
    monkeypatch.setenv('DATA_ROOT', str(data))
    monkeypatch.setenv('TRAIN_LIST', 'list.txt')


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


def start(script, *words, data, cwd, **variables):
    """Start a launcher as a user does."""
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH']
    env = {
        **os.environ, 'PATH': path,
        'PORT': str(free_port()),
        'OMP_NUM_THREADS': '1',
        'DATA_ROOT': str(data),
        'TRAIN_LIST': 'list.txt'
    }
    env.pop('PYTHONPATH', None)
    env.update(variables)
    return subprocess.Popen(
        ['bash', str(ROOT / 'tools' / script), *map(str, words)],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True)


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """Work dir of a training by two machines of one process each."""
    cwd = tmp_path_factory.mktemp('two')
    port = str(free_port())
    jobs = [
        start(
            'dist_train.sh',
            CONFIG,
            1,
            '--work-dir',
            cwd / 'train',
            data=data,
            cwd=cwd,
            NNODES='2',
            NODE_RANK=rank,
            MASTER_ADDR='127.0.0.1',
            PORT=port) for rank in '01'
    ]
    try:
        text, other = (job.communicate(timeout=300)[0] for job in jobs)
    finally:
        for job in jobs:
            job.kill()
    assert [job.returncode for job in jobs] == [0, 0], (text + other)[-4000:]
    assert ', 2 processes\n' in text
    assert 'Iter(train) [2/2]' in text
    # one of the two speaks, and the end of the training dumps as well
    assert text.count(f'{NUM_IMAGES} label images in') == 1
    assert 'Iter(train)' not in other and 'label images in' not in other
    return cwd / 'train'


@pytest.fixture(scope='module')
def checkpoint(trained):
    """What was trained, with class maps large enough to tell images apart."""
    path = trained / 'strong.pth'
    content = torch.load(trained / 'iter_2.pth', weights_only=False)
    generator = torch.Generator().manual_seed(0)
    weight = content['state_dict']['head.classifier.weight']
    weight.copy_(torch.randn(weight.shape, generator=generator))
    torch.save(content, path)
    return path


def dump_of(work_dir):
    folder = work_dir / 'pseudo_labels'
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob('*') if p.is_file()
    }


@pytest.mark.slow
def test_training_by_two_machines(trained):
    dump = dump_of(trained)
    names = {f'odd_{i}.png' for i in range(NUM_IMAGES)}
    assert set(dump) == names | {'ids.txt', 'manifest.json'}
    assert json.loads(dump['manifest.json'])['images'] == NUM_IMAGES
    assert json.loads(
        dump['manifest.json'])['checkpoint']['name'] == 'iter_2.pth'


def groups_of(batch_size, workers=0):
    """Ids of every group that the test loader hands out, by anchor."""
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict({
        'test_dataloader.batch_size':
        batch_size,
        'test_dataloader.num_workers':
        workers,
        'test_dataloader.dataset.group_size':
        3,
        'test_dataloader.dataset.dataset.pipeline.1.keep_ratio':
        True
    })
    groups, sizes = {}, set()
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for batch in Runner.build_dataloader(cfg.test_dataloader):
            for sample in batch['data_samples']:
                if sample.group_slot == 0:
                    group = groups.setdefault(sample.img_id, [])
                group.append(sample.img_id)
                assert sample.group_slot == len(group) - 1
                sizes.add(sample.img_shape)
    assert len(sizes) > 3
    return groups


@pytest.mark.slow
def test_groups_do_not_depend_on_the_batch_size(settings, data):
    one = groups_of(1)
    assert set(one) == {f'odd_{i}' for i in range(NUM_IMAGES)}
    assert all(len(set(group)) == 3 for group in one.values())
    assert len({frozenset(group) for group in one.values()}) > 2
    assert groups_of(2) == one and groups_of(3, workers=2) == one


def test_groups_do_not_depend_on_the_list_order(settings, data, tmp_path,
                                                monkeypatch):
    shutil.copytree(data, tmp_path / 'data')
    lines = (data / 'list.txt').read_text().splitlines()
    (tmp_path / 'data' / 'list.txt').write_text('\n'.join(lines[::-1]) + '\n')
    one = groups_of(1)
    monkeypatch.setenv('DATA_ROOT', str(tmp_path / 'data'))
    turned = groups_of(1)
    assert list(turned) == list(one)[::-1] and turned == one


@pytest.mark.slow
@pytest.mark.parametrize('keep_ratio', [True, False])
def test_labels_of_another_batch_size(keep_ratio, checkpoint, settings,
                                      tmp_path, call_tool, capsys):
    labels = []
    for size in (1, 2):
        work_dir = tmp_path / str(size)
        options = OPTIONS + [
            'test_dataloader.dataset.dataset.pipeline.1.keep_ratio='
            f'{keep_ratio}', f'test_dataloader.batch_size={size}'
        ]
        call_tool('test', CONFIG, checkpoint, '--work-dir', work_dir, *options)
        paths = sorted((work_dir / 'pseudo_labels').glob('*.png'))
        labels.append([np.asarray(Image.open(path)) for path in paths])
    assert len(labels[0]) == len(labels[1]) == NUM_IMAGES
    # labels that tell something: background and a class
    assert sum(len(np.unique(label)) > 1 for label in labels[0]) >= 5
    for one, two in zip(*labels):
        # up to a pixel that lies on the threshold
        assert one.shape == two.shape and (one != two).mean() < 2e-3


DYING = """
import os
import signal

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class DyingRank(Hook):

    def after_train_iter(self, runner, *args, **kwargs):
        if get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_rank_that_dies_is_named(data, tmp_path):
    (tmp_path / 'dying_rank.py').write_text(DYING)
    (tmp_path / 'config.py').write_text(
        f"_base_ = ['{CONFIG}']\n"
        "custom_imports = dict(imports=['group_wsss', 'dying_rank'])\n"
        "custom_hooks = [dict(type='DyingRank')]\n")
    job = start(
        'dist_train.sh',
        tmp_path / 'config.py',
        2,
        data=data,
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path))
    text, _ = job.communicate(timeout=300)
    assert job.returncode != 0
    end = text[text.index('Root Cause'):]
    assert 'rank      : 1 ' in end and 'exitcode  : -9' in end
    assert 'SIGKILL' in end


@pytest.mark.parametrize('script, words', [
    ('slurm_train.sh', ['part', 'job', 'a b.py', '--amp']),
    ('slurm_test.sh', ['part', 'job', 'a b.py', 'c d.pth', '--tta']),
])
def test_what_slurm_is_asked_for(script, words, tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$PYTHONPATH" "$@"\n')
    srun.chmod(0o755)
    env = dict(
        os.environ,
        PATH=f'{tmp_path}{os.pathsep}' + os.environ['PATH'],
        GPUS='16',
        GPUS_PER_NODE='8',
        CPUS_PER_TASK='3',
        SRUN_ARGS='--quotatype=spot --comment x',
        PY_ARGS='--work-dir w')
    env.pop('PYTHONPATH', None)  # as on a fresh machine
    done = subprocess.run(
        ['bash', str(ROOT / 'tools' / script), *words],
        env=env,
        capture_output=True,
        text=True,
        timeout=60)
    assert done.returncode == 0, done.stderr
    path, *asked = done.stdout.split('\n')[:-1]
    assert path == str(ROOT / 'projects')
    start = asked.index('python')
    assert asked[:start] == [
        '-p', 'part', '--job-name=job', '--gres=gpu:8', '--ntasks=16',
        '--ntasks-per-node=8', '--cpus-per-task=3', '--kill-on-bad-exit=1',
        '--quotatype=spot', '--comment', 'x'
    ]
    tool = str(ROOT / 'tools' /
               script.replace('slurm_', '').replace('.sh', '.py'))
    assert asked[start:] == [
        'python', '-u', tool, *words[2:-1], '--launcher=slurm', '--work-dir',
        'w', words[-1]
    ]
