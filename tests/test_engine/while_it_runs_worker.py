# Copyright (c) group_wsss contributors. All rights reserved.
"""The two processes of ``test_while_it_runs.py``."""
import multiprocessing
import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import distributed as dist

from group_wsss.contrib.summaries import epoch_summary_hook
from group_wsss.engine.runner import DataRunner

CONFIG = Path(__file__).parents[1] / 'configs' / 'tiny_group_cam.py'


class Losses(Hook):

    def __init__(self) -> None:
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.seen.append(float(outputs['loss']))


def main(root: Path, rank: int, interval: int) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank))
    dist.init_process_group(
        'gloo',
        init_method=f'file://{root}/rendezvous{interval}',
        rank=rank,
        world_size=2)
    cfg = Config.fromfile(CONFIG)
    cfg.launcher = 'pytorch'
    cfg.default_hooks.pop('pseudo_labels', None)
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=True)
    cfg.default_hooks.class_maps.interval = interval
    cfg.train_dataloader.sampler.type = 'DefaultSampler'
    cfg.train_cfg = dict(by_epoch=True, max_epochs=2)
    cfg.log_processor = dict(by_epoch=True)
    cfg.work_dir = str(root / f'work{interval}')
    runner = DataRunner.from_cfg(cfg)
    losses = Losses()
    runner.register_hook(losses)
    runner.train()
    torch.save(
        dict(
            losses=losses.seen,
            weights=runner.model.module.state_dict(),
            log_dir=runner.log_dir), root / f'{interval}-{rank}.pth')
    dist.barrier()
    dist.destroy_process_group()


def both(root: Path, rank: int) -> None:
    """Without sheets and with them, on paper of one's own."""
    os.dup2(os.open(root / f'{rank}.txt', os.O_WRONLY | os.O_CREAT), 1)
    for sheets in (0, 1):
        main(root, rank, sheets)


if __name__ == '__main__':
    epoch_summary_hook._short = repr  # all digits
    os.environ['DATA_ROOT'] = sys.argv[2]
    context = multiprocessing.get_context('fork')
    jobs = [
        context.Process(target=both, args=(Path(sys.argv[1]), rank))
        for rank in range(2)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    sys.exit(any(job.exitcode for job in jobs))
