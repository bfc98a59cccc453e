# Copyright (c) group_wsss contributors. All rights reserved.
"""A toy model, dataset and runner for the hooks' tests."""
import copy
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from group_wsss.structures import ScoreMap

CLASSES = ('a', 'b', 'c')
NAMES = itertools.count()


class ToyDataset(Dataset):
    """Images of different size; every look draws another flip."""

    def __init__(self,
                 n=6,
                 flips=(None, 'horizontal', 'vertical', 'diagonal')):
        self.metainfo = dict(classes=CLASSES)
        self.flips = flips
        self.rng = np.random.default_rng(7)
        self.images = [
            torch.rand(
                3, 8 + 2 * i, 12, generator=torch.Generator().manual_seed(i))
            for i in range(n)
        ]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = self.images[i]
        flip = self.flips[self.rng.integers(len(self.flips))]
        dims = dict(horizontal=[2], vertical=[1], diagonal=[1, 2])
        if flip:
            image = image.flip(dims[flip])
        shape = tuple(image.shape[1:])
        sample = BaseDataElement(
            metainfo=dict(
                img_id=f'sub/{i}',
                ori_shape=shape,
                img_shape=shape,
                flip=bool(flip),
                flip_direction=flip))
        sample.gt_label = torch.tensor([i % 3, (i + 1) % 3])
        return dict(inputs=image, data_samples=sample)


class ToyModel(BaseModel):
    """Class maps are noise around the image, new at every look."""

    def __init__(self, group_size=1):
        super().__init__()
        self.group_size = group_size
        self.attach_class_maps = False
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.rng = np.random.default_rng(3)
        self.stop_after = None
        self.seen = []  # (step, slot, sample)
        self.step = 0

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            if self.step == self.stop_after:
                raise KeyboardInterrupt
            self.step += 1
            for i, sample in enumerate(data_samples):
                sample.set_metainfo(dict(group_slot=i % self.group_size))
        for slot, (image, sample) in enumerate(zip(inputs, data_samples)):
            # on the CPU wherever the runner has put them
            image, ids = image.cpu(), sample.gt_label.cpu().sort()[0]
            maps = torch.stack([image[c, ::2, ::2] for c in ids])
            score = torch.full((3, ), .9)
            if mode == 'loss':
                noise = self.rng.random(maps.shape).astype(np.float32)
                maps = maps * torch.from_numpy(noise)
                low = self.rng.random(3) < .4
                score[torch.from_numpy(low)] = .05
                # the second class of this image is never found
                if sample.img_id == 'sub/1':
                    score[ids[1]] = .01
            sample.class_ids, sample.class_maps = ids, maps * 5
            sample.pred_score = score
            if mode == 'loss':
                copied = copy.deepcopy(sample).to('cpu')
                self.seen.append((self.step - 1, slot, copied))
                if not self.attach_class_maps:  # nobody has asked
                    del sample.class_maps
        if mode == 'loss':
            return dict(loss=(self.weight**2).sum())
        return list(data_samples)


class ToyMetric(BaseMetric):
    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results += [s['img_id'] for s in data_samples]

    def compute_metrics(self, results):
        return dict(images=len(results))


def build_runner(root,
                 hooks=(),
                 by_epoch=True,
                 length=4,
                 test=False,
                 batch_size=2,
                 dataset=None,
                 test_dataset=None,
                 model=None,
                 checkpoint=None,
                 kind=Runner,
                 workers=0,
                 **kwargs):
    """A runner on the toy model that works in ``root/work``."""
    loader = dict(
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=pseudo_collate,
        dataset=dataset if dataset is not None else ToyDataset())
    train = dict(
        by_epoch=True, max_epochs=length) if by_epoch else dict(
            by_epoch=False, max_iters=length)
    sampler = 'DefaultSampler' if by_epoch else 'InfiniteSampler'
    checkpoint = checkpoint or dict(interval=1, by_epoch=by_epoch)
    # as `Runner.from_cfg` has it
    cfg = kwargs.pop('cfg', {})
    cfg = cfg if isinstance(cfg, Config) else Config(cfg)
    cfg.load_from = kwargs.get('load_from')
    cfg.resume = kwargs.get('resume', False)
    if test:
        kwargs.update(
            test_cfg=dict(),
            test_evaluator=[ToyMetric()],
            test_dataloader=dict(
                loader,
                dataset=test_dataset or ToyDataset(flips=(None, )),
                sampler=dict(type='DefaultSampler', shuffle=False)))
    return kind(
        model=model if model is not None else ToyModel(),
        work_dir=str(root / 'work'),
        train_cfg=train,
        train_dataloader=dict(
            loader, sampler=dict(type=sampler, shuffle=True)),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1)),
        custom_hooks=list(hooks),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', **checkpoint)),
        experiment_name=f'toy-{next(NAMES)}',
        randomness=dict(seed=5),
        log_level='WARNING',
        default_scope='mmengine',
        cfg=cfg,
        **kwargs)


@pytest.fixture(scope='session')
def run_worker():
    """Run a script of this folder in a process of its own."""

    def run(name, *words):
        env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
        env['PYTHONPATH'] = os.pathsep.join(p for p in sys.path if p)
        done = subprocess.run(
            [sys.executable,
             Path(__file__).with_name(name), *map(str, words)],
            env=env,
            capture_output=True,
            text=True,
            timeout=300)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]

    return run


def offline_maximum(seen, group_size=1, last=()):
    """Maximum by plain loops; ``last`` holds the steps of the last pass."""
    strong, weak = {}, {}
    for step, slot, sample in seen:
        if slot % group_size:
            continue
        for class_id, values in zip(sample.class_ids, sample.class_maps):
            values = values.numpy() / values.numpy().max()
            if sample.flip_direction in ('vertical', 'diagonal'):
                values = values[::-1]
            if sample.flip_direction in ('horizontal', 'diagonal'):
                values = values[:, ::-1]
            found = sample.pred_score[class_id] >= .1
            if found or step in last:
                table = strong if found else weak
                key = sample.img_id, int(class_id)
                table[key] = np.maximum(table.get(key, 0), values)
    return {**weak, **strong}


def assert_maximum(folder, expected):
    """The files of a folder hold these maps, and no others."""
    found = {}
    for path in folder.rglob('*.npz'):
        score_map = ScoreMap.load(str(path))
        name = path.relative_to(folder).with_suffix('').as_posix()
        assert score_map.img_id == name
        for class_id, values in zip(score_map.class_ids, score_map.maps):
            found[name, int(class_id)] = values
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values.astype(np.float16),
                                      str(key))


@pytest.fixture
def toy(tmp_path):
    """The factory above in ``tmp_path``, with the toy classes."""

    def build(*args, **kwargs):
        return build_runner(tmp_path, *args, **kwargs)

    build.model, build.dataset, build.root = ToyModel, ToyDataset, tmp_path
    build.classes, build.work = CLASSES, tmp_path / 'work'
    build.offline, build.assert_maximum = offline_maximum, assert_maximum
    return build
