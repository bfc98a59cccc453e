# Copyright (c) group_wsss contributors. All rights reserved.
"""What all tests share: no global state, one thread, a tiny VOC folder."""
import importlib.util
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Callable

import numpy as np
import pytest
import torch
from mmengine.dataset import base_dataset
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import WEIGHT_INITIALIZERS, DefaultScope
from mmengine.runner import CheckpointLoader
from mmengine.visualization import Visualizer
from PIL import Image
from yapf.yapflib import yapf_api

torch.set_num_threads(1)
# for the processes that tests start
os.environ.setdefault('OMP_NUM_THREADS', '1')
# yapf lays a config out three times in a run, more than half the time of a
# toy run; the processes that tests start do it
yapf_api.FormatCode = lambda text, **style: (text, True)
# each dataset collects the garbage of all that is imported, half a second
base_dataset.gc = SimpleNamespace(collect=lambda: None)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def no_global_state():
    """Undo what a test leaves in mmengine's global objects."""
    owners = []
    for owner in (DefaultScope, MessageHub, MMLogger, Visualizer):
        while '_instance_dict' not in vars(owner):
            owner = owner.__mro__[1]
        owners.append((owner, owner._instance_dict.copy()))
    schemes = CheckpointLoader._schemes.copy()
    initializers = WEIGHT_INITIALIZERS.module_dict.copy()
    yield
    for owner, instances in owners:
        owner._instance_dict.clear()
        owner._instance_dict.update(instances)
    CheckpointLoader._schemes = schemes
    WEIGHT_INITIALIZERS.module_dict.update(initializers)


@pytest.fixture(scope='session')
def data_root() -> Path:
    """Real images in VOC layout; not part of the repository."""
    folder = ROOT.parent / 'shared' / 'data' / 'coco540'
    if not folder.is_dir():
        pytest.skip('the shared images are not on this machine')
    return folder


@pytest.fixture(scope='session')
def tiny_voc(tmp_path_factory) -> Path:
    """Eight tiny images in VOC layout, a disc of one class in each.

    ``JPEGImages``, ``SegmentationClass`` (index PNGs with classes 1 to 4 and
    255), ``ImageSets/Segmentation/{train,val,trainaug,aug}.txt`` and
    ``ImageSets/train_cls.txt`` with 0-based class ids.
    """
    root = tmp_path_factory.mktemp('tiny_voc')
    for name in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:40, :48]
    ids, tags = [f'tiny_{i}' for i in range(8)], []
    for i, name in enumerate(ids):
        disc = (rows - 20)**2 + (columns - 14 - 2 * i)**2
        image = rng.integers(0, 60, (40, 48, 3))
        image[disc < 120] += np.array([[180, 0, 0], [0, 180, 0], [0, 0, 180],
                                       [150, 150, 0]])[i % 4]
        mask = np.where(disc < 120, i % 4 + 1, 0)
        mask[(disc >= 120) & (disc < 160)] = 255
        Image.fromarray(image.astype(np.uint8)).save(root / 'JPEGImages' /
                                                     f'{name}.jpg')
        label = Image.fromarray(mask.astype(np.uint8), mode='P')
        label.putpalette(list(range(256)) * 3)
        label.save(root / 'SegmentationClass' / f'{name}.png')
        tags.append(f'{name} {i % 4}')
    for split, rows in (('train', ids), ('trainaug', ids), ('aug', ids),
                        ('val', ids[:3])):
        path = root / 'ImageSets' / 'Segmentation' / f'{split}.txt'
        path.write_text('\n'.join(rows) + '\n')
    (root / 'ImageSets' / 'train_cls.txt').write_text('\n'.join(tags) + '\n')
    return root


@pytest.fixture(scope='session')
def odd_voc(tmp_path_factory) -> Path:
    """Seven images of different size, one or two classes in each, masks.

    ``list.txt`` names all of them, ``few.txt`` three; ``bad.txt`` three files
    more, ``cut``, ``empty`` and ``text``, that are no images.
    """
    root = tmp_path_factory.mktemp('odd_voc')
    images, masks = root / 'JPEGImages', root / 'SegmentationClass'
    images.mkdir()
    masks.mkdir()
    rng = np.random.default_rng(3)
    lines = []
    for i in range(7):
        size = 40 + 9 * i, 90 - 8 * i
        rough = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
        Image.fromarray(rough).resize(size, Image.BILINEAR).save(
            images / f'odd_{i}.jpg')
        mask = rng.choice([0, i % 3 + 1, 255], size[::-1]).astype(np.uint8)
        Image.fromarray(mask).save(masks / f'odd_{i}.png')
        lines.append(f'odd_{i} {i % 3}' + f' {i % 3 + 1}' * (i % 2))
    lines[-1] += ' 7'  # the one image of a class: most ranks have none
    bad = dict(
        cut=(images / 'odd_6.jpg').read_bytes()[:-300],
        empty=b'',
        text=b'not an image')
    middle = [f'{name} {i}' for i, name in enumerate(bad)]
    for name, data in bad.items():
        (images / f'{name}.jpg').write_bytes(data)
        Image.new('L', (4, 4)).save(masks / f'{name}.png')
    for name, rows in (('list', lines), ('few', lines[:3]),
                       ('bad', lines[:2] + middle + lines[2:])):
        (root / f'{name}.txt').write_text('\n'.join(rows) + '\n')
    return root


@pytest.fixture(scope='session')
def start() -> Callable[..., subprocess.CompletedProcess]:
    """Run a program in a folder as a user does: this Python, no PYTHONPATH."""

    def call(*words, cwd: Path, **env) -> subprocess.CompletedProcess:
        path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
        env = {**os.environ, 'PYTHONPATH': '', 'PATH': path, **env}
        return subprocess.run([str(word) for word in words],
                              cwd=cwd,
                              env={
                                  k: str(v)
                                  for k, v in env.items()
                              },
                              capture_output=True,
                              text=True,
                              timeout=1800)

    return call


@pytest.fixture
def call_tool(monkeypatch) -> Callable[..., None]:
    """Run ``tools/NAME.py`` with arguments, in this process.

    Ends as the command line does: ``SystemExit`` with status 2 and one line
    on stderr for a wrong input.
    """

    def call(name: str, *args) -> None:
        from group_wsss.utils import cli
        spec = importlib.util.spec_from_file_location(
            f'group_wsss_tool_{name}', ROOT / 'tools' / f'{name}.py')
        tool = importlib.util.module_from_spec(spec)
        path = sys.path.copy()
        try:
            spec.loader.exec_module(tool)
            monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
            cli.run(tool.main)
        finally:
            sys.path[:] = path

    return call


class PicklingPool(ThreadPoolExecutor):
    """Hands work over as a pool of processes does, but starts none."""

    def __init__(self, jobs, context, initializer):
        assert context.get_start_method() == 'spawn' and callable(initializer)
        super().__init__(jobs)

    def submit(self, work, chunk):
        work, chunk = pickle.loads(pickle.dumps((work, chunk)))
        return super().submit(lambda: pickle.loads(pickle.dumps(work(chunk))))


@pytest.fixture
def threads(monkeypatch):
    """Start no processes: each takes seconds to import torch."""
    from group_wsss.utils import pool
    monkeypatch.setattr(pool, 'ProcessPoolExecutor', PicklingPool)
