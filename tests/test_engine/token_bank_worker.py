# Copyright (c) group_wsss contributors. All rights reserved.
"""Tests of the tiny network with a token bank, in forked processes.

``token_bank_worker.py ROOT CHECKPOINT JOBS``: each job of the JSON list has a
work dir, a number of processes, and after how many images it is killed (0:
never): those whose tokens are written, and those that are labelled.
"""
import argparse
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import mmpretrain.datasets  # noqa: F401
import mmpretrain.evaluation  # noqa: F401
import mmpretrain.visualization  # noqa: F401
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.runner import Runner
from torch import distributed as dist

from group_wsss.engine.runner import DataRunner
from group_wsss.structures import TokenBank
from group_wsss.utils import launch

CONFIGS = Path(__file__).parents[1] / 'configs'


def config(work_dir, checkpoint, name='tiny_group_cam', **options):
    """The tiny config with a graph that a bank can serve."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.work_dir, cfg.load_from = str(work_dir), str(checkpoint)
    cfg.merge_from_dict({
        'test_group_size':
        4,
        'model.neck.update':
        'mix',
        'model.neck.gamma_init':
        0.5,
        'model.neck.dropout':
        None,
        'model.neck.coattention':
        dict(
            key='whitened',
            key_channels=16,
            normalize=True,
            scale=9.0,
            softmax='group',
            gate=False),
        'default_hooks.token_bank':
        dict(type='group_wsss.TokenBankHook', pool_size=2),
        'default_hooks.pseudo_labels.keep_scores':
        True,
        'log_level':
        'WARNING',
        **options
    })
    return cfg


def run(job, checkpoint, rank):
    folder, world, kill = job
    cfg = config(folder, checkpoint)
    if world > 1:
        os.environ.update(
            RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank))
        dist.init_process_group(
            'gloo',
            init_method=f'file://{folder}.rendezvous',
            rank=rank,
            world_size=world)
    launch.prepare_launcher(
        cfg,
        argparse.Namespace(
            launcher='pytorch' if world > 1 else 'none',
            local_rank=get_rank()))
    if kill:
        count = []

        def killed(method):

            def call(*args):
                result = method(*args)
                count.append(args)
                if len(count) == kill:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return call

        TokenBank.write = killed(TokenBank.write)
        TokenBank.read_map = killed(TokenBank.read_map)
    DataRunner.from_cfg(cfg).test()
    if world > 1:
        dist.barrier()
        os._exit(0)  # gloo of torch 2.1 may not come back from its end


if __name__ == '__main__':
    context = multiprocessing.get_context('fork')
    os.environ['DATA_ROOT'] = sys.argv[1]
    os.environ['TRAIN_LIST'] = 'ImageSets/train_cls.txt'
    Runner._log_env = lambda *args: None  # takes seconds
    for job in json.loads(sys.argv[3]):
        parts = [
            context.Process(target=run, args=(job, sys.argv[2], rank))
            for rank in range(job[1])
        ]
        for part in parts:
            part.start()
        for part in parts:
            part.join()
        wrong = -signal.SIGKILL if job[2] else 0
        if any(part.exitcode != wrong for part in parts):
            sys.exit(f'{job}: {[part.exitcode for part in parts]}')
