# Copyright (c) group_wsss contributors. All rights reserved.
"""What ``test_dist_worlds.py`` compares, done by 1, 2 and 4 processes.

Everything is imported once; the processes are forked from this one.
"""
import argparse
import json
import multiprocessing
import os
import socket
import sys
import time
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import mmpretrain.datasets  # noqa: F401
import mmpretrain.evaluation  # noqa: F401
import mmpretrain.visualization  # noqa: F401
import torch
from mmengine.config import Config
from mmengine.dataset import base_dataset
from mmengine.dist import get_rank
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import FlexibleRunner, Runner
from yapf.yapflib import yapf_api

import group_wsss.engine  # noqa: F401
from group_wsss.engine.runner import settle_group_size
from group_wsss.utils import cli, launch
from group_wsss.utils.launch import build_runner, torch_is_at_least

CONFIG = Path(__file__).parent / 'configs' / 'tiny_group_cam.py'
FSDP = Path(__file__).parents[1] / 'configs' / '_base_' / 'fsdp.py'

# what compilers there are takes seconds to find out, and nobody asks; the
# rest as in conftest.py
Runner._log_env = FlexibleRunner._log_env = lambda *args: None
yapf_api.FormatCode = lambda text, **style: (text, True)
base_dataset.gc = SimpleNamespace(collect=lambda: None)


def config(work_dir, world, images='list.txt', workers=0, **options):
    """The tiny config on one of the lists, ready to be run."""
    os.environ['TRAIN_LIST'] = images
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir = str(work_dir)
    test = cfg.test_dataloader
    test.dataset.dataset.pipeline[1].keep_ratio = True
    test.dataset.group_size = 3
    # partners are those of the whole list
    test.dataset.reference = dict(
        test.dataset.dataset,
        ann_file='list.txt' if images == 'few.txt' else images)
    cfg.merge_from_dict({
        'train_dataloader.num_workers': workers,
        'test_dataloader.num_workers': workers,
        **options
    })
    settle_group_size(cfg)
    cfg.val_dataloader, cfg.val_cfg = cfg.test_dataloader, dict()
    cfg.val_evaluator = cfg.test_evaluator = [
        dict(type='AveragePrecision'),
        dict(type='MultiLabelMetric', average='micro'),
        dict(
            type='group_wsss.CAMIoU',
            ann_dir=os.environ['DATA_ROOT'] + '/SegmentationClass')
    ]
    cfg.train_cfg.val_interval = 100
    cfg.log_level = 'WARNING'
    launch.prepare_launcher(
        cfg,
        argparse.Namespace(
            launcher='pytorch' if world > 1 else 'none',
            local_rank=get_rank()))
    return cfg


def save(folder, name, value):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{name}{get_rank()}.json').write_text(json.dumps(value))


def groups(cfg, world):
    """Ids of the groups of two epochs, and of an endless stream."""
    found = []
    for sampler in ('DefaultSampler', 'InfiniteSampler'):
        cfg.train_dataloader.sampler.type = sampler
        loader = Runner.build_dataloader(cfg.train_dataloader, seed=1)
        endless = sampler == 'InfiniteSampler'
        steps = 4 // world if endless else len(loader.batch_sampler)
        size = cfg.group_size
        for epoch in range(2):
            if not endless:
                loader.batch_sampler.sampler.set_epoch(epoch)
            drawn = []
            for batch in islice(loader.batch_sampler, steps):
                ids = [
                    loader.dataset.get_data_info(i)['img_id'] for i in batch
                ]
                drawn += [ids[i:i + size] for i in range(0, len(ids), size)]
            found.append(drawn)
    return found


def train(root, world, name, **options):
    cfg = config(root / name, world, **options)
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.default_hooks.pop('pseudo_labels', None)
    cfg.custom_hooks = options.get('custom_hooks', [])
    cfg.auto_scale_lr = dict(base_batch_size=4, enable=True)
    runner = build_runner(cfg)
    runner.train()
    save(root, f'lr_{name}',
         [group['lr'] for group in runner.optim_wrapper.param_groups])


def measure(root, world, name, checkpoint, **options):
    cfg = config(root / name, world, **options)
    cfg.load_from = str(checkpoint)
    runner = build_runner(cfg)
    if name == 'all':
        save(root, f'val_{name}', runner.val())
    save(root, f'test_{name}', runner.test())


SKIP = {
    'train_dataloader.dataset.on_corrupt': 'skip',
    'test_dataloader.dataset.dataset.on_corrupt': 'skip'
}


def compare(root, world):
    """All that must not depend on the number of processes."""
    strong = root.parent / 'strong.pth'
    cfg = config(root, world)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        save(root, 'groups', groups(cfg, world))
    measure(root, world, 'all', strong)
    # more processes than images, in a world of four
    measure(root, world, 'few', strong, images='few.txt')
    train(root, world, 'a')
    if world < 4:
        train(root, world, 'b')
        for workers in (0, 2):
            measure(
                root,
                world,
                f'bad{workers}',
                strong,
                images='bad.txt',
                workers=workers,
                **SKIP)
        train(
            root,
            world,
            'bad_train',
            images='bad.txt',
            workers=2,
            **{'train_cfg.max_iters': 6},
            **SKIP)
    if world == 2 and torch_is_at_least('2.2'):
        strategy = Config.fromfile(FSDP).strategy
        strategy.model_wrapper.auto_wrap_policy.min_num_params = 10000
        train(root, world, 'fsdp', strategy=strategy)


def main(task, root, rank, world, port):
    """One process."""
    sys.stdout = sys.stderr = open(root / f'rank{rank}.log', 'w', buffering=1)
    os.dup2(sys.stderr.fileno(), 2)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port))
    cli.run(partial(task, root, world))


def fail(root, world):
    """A corrupt image without ``on_corrupt``."""
    measure(
        root,
        world,
        'bad',
        root.parent / 'strong.pth',
        images='bad.txt',
        workers=2)


def fork(task, root, world):
    root.mkdir()
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
    context = multiprocessing.get_context('fork')
    jobs = [
        context.Process(target=main, args=(task, root, rank, world, port))
        for rank in range(world)
    ]
    for job in jobs:
        job.start()
    return jobs


def prepare(base):
    """Weights that give every image class maps of its own."""
    cfg = config(base, 1)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    model.init_weights()
    torch.nn.init.normal_(model.head.classifier.weight)
    torch.save(dict(state_dict=model.state_dict()), base / 'strong.pth')


def watch(jobs, seconds):
    """Exit codes; None where a process had to be killed."""
    end = time.monotonic() + seconds
    for job in jobs:
        job.join(max(end - time.monotonic(), 0))
    codes = [job.exitcode for job in jobs]
    for job in jobs:
        job.kill()
        job.join()
    return codes


if __name__ == '__main__':
    base = Path(sys.argv[1])
    prepare(base)
    codes = {}
    for number in (1, 2, 4):
        codes[number] = watch(fork(compare, base / str(number), number), 250)
    codes['error'] = watch(fork(fail, base / 'error', 2), 60)
    (base / 'codes.json').write_text(json.dumps(codes))
