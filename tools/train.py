# Copyright (c) group_wsss contributors. All rights reserved.
"""Train: stage 1 or stage 2, or any other mmengine config."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli, launch
from group_wsss.utils.arguments import add_common_arguments
from group_wsss.utils.data_flags import check_data
from group_wsss.utils.errors import InputError


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='train config file path')
    add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint; without a value (or "auto") from '
        'the latest one in the work dir, if there is one')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: as mmengine does it, or in bfloat16 on a CPU')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='multiply the learning rate by images a step (batch_size times '
        'processes) / auto_scale_lr.base_batch_size of the config')
    return parser.parse_args()


def enable_amp(cfg) -> None:
    """Turn the optimizer wrapper into its mixed precision twin."""
    from mmengine.device import get_device
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    own = 'group_wsss.BFloat16OptimWrapper'
    if kind not in ('OptimWrapper', 'AmpOptimWrapper', own):
        raise InputError(f'--amp: optim_wrapper.type is {kind}, it works '
                         'with OptimWrapper only')
    if kind == own or get_device() == 'cpu':
        if kind == 'AmpOptimWrapper':
            raise InputError('--amp: optim_wrapper.type AmpOptimWrapper needs '
                             'a GPU, there is none here')
        cfg.optim_wrapper.type = own
        return
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def enable_auto_scale_lr(cfg, config: str) -> None:
    """Let the learning rate follow the number of images a step."""
    if not (cfg.get('auto_scale_lr', None) or {}).get('base_batch_size', None):
        raise InputError(f'{config}: --auto-scale-lr needs '
                         'auto_scale_lr.base_batch_size')
    cfg.auto_scale_lr.enable = True


def main() -> None:
    """Train."""
    args = parse_args()
    cfg = cli.load_config(args)
    if args.resume is not None:
        cfg.resume = True
        if args.resume != 'auto':
            cfg.load_from = args.resume
        elif cfg.get('load_from', None):
            from mmengine.runner import find_latest_checkpoint

            # mmengine would resume that, which this training starts from
            if find_latest_checkpoint(cfg.work_dir):
                cfg.load_from = None
            else:
                cfg.resume = False
    if cfg.get('load_from', None):
        cli.check_checkpoint(cfg.load_from, cfg)
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        enable_auto_scale_lr(cfg, args.config)
    check_data(cfg, ['train_dataloader', 'val_dataloader'])
    cli.prepare_work_dir(cfg.work_dir)
    launch.prepare_launcher(cfg, args)

    launch.build_runner(cfg).train()


if __name__ == '__main__':
    cli.run(main, again='add --resume to the same command to go on')
