# Copyright (c) group_wsss contributors. All rights reserved.
"""One of two processes of ``test_while_it_runs.py``."""
import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import distributed as dist

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


if __name__ == '__main__':
    for sheets in (0, 1):
        main(Path(sys.argv[1]), int(sys.argv[2]), sheets)
