# Copyright (c) group_wsss contributors. All rights reserved.
"""Train: stage 1 or stage 2, or any other mmengine config."""
import argparse
import os.path as osp
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss import cli
from group_wsss.errors import InputError


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='train config file path')
    cli.add_common_arguments(parser)
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
        help='enable automatic mixed precision training')
    return parser.parse_args()


def enable_amp(cfg) -> None:
    """Turn the optimizer wrapper into its mixed precision twin."""
    from mmengine.device import get_device
    if get_device() == 'cpu':
        raise InputError('--amp needs a GPU, there is none here')
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise InputError(f'--amp: optim_wrapper.type is {kind}, it works '
                         'with OptimWrapper only')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def last_checkpoint(cfg) -> str:
    """Path of the newest checkpoint of the run, '' if none was kept."""
    from mmengine.runner import find_latest_checkpoint
    if not osp.isfile(osp.join(cfg.work_dir, 'last_checkpoint')):
        return ''
    return find_latest_checkpoint(cfg.work_dir) or ''


def report(cfg, config: str, hooks: list) -> None:
    """Say what was written and what to type next."""
    checkpoint = last_checkpoint(cfg)
    labels = osp.join(cfg.work_dir, 'pseudo_labels')
    for hook in hooks:
        if type(hook).__name__ == 'PseudoLabelHook':
            labels = getattr(hook, 'out_dir', None) or labels
    print(f'\nWritten to {cfg.work_dir}:')
    print(f'  config          {osp.join(cfg.work_dir, osp.basename(config))}')
    if checkpoint:
        print(f'  last checkpoint {checkpoint}')
    if osp.isdir(labels):
        count = sum(1 for _ in Path(labels).rglob('*.png'))
        print(f'  pseudo labels   {labels} ({count} images)')
    step = cfg.get('next_step', None)
    if step is None and checkpoint:
        step = 'python tools/test.py {config} {checkpoint}'
    if step:
        values = dict(
            config=config,
            work_dir=cfg.work_dir,
            checkpoint=checkpoint,
            pseudo_labels=labels)
        for key, value in values.items():
            step = step.replace('{' + key + '}', value)
        print(f'Next:\n  {step}', flush=True)


def main() -> None:
    """Train."""
    args = parse_args()
    cfg = cli.load_config(args)
    if args.resume is not None:
        cfg.resume = True
        if args.resume != 'auto':
            cli.check_checkpoint(args.resume)
            cfg.load_from = args.resume
    if cfg.get('load_from', None):
        cli.check_checkpoint(cfg.load_from)
    if args.amp:
        enable_amp(cfg)
    loaders = ['train_dataloader', 'val_dataloader']
    cli.check_data(cfg, loaders)
    cli.prepare_work_dir(cfg.work_dir)
    cli.prepare_launcher(cfg, args)

    from mmengine.dist import is_main_process
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    from group_wsss.checkpoint import StateDictCheckHook, use_safe_loading
    from group_wsss.engine import settle_num_classes, use_atomic_writes
    settle_num_classes(cfg, loaders)
    use_safe_loading()
    use_atomic_writes()
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = Runner.from_cfg(cfg)
    if cfg.get('resume', False):
        name = cfg.get('load_from', None) or last_checkpoint(cfg)
        runner.register_hook(StateDictCheckHook(name))
    runner.train()
    if is_main_process():
        report(cfg, args.config, runner.hooks)


if __name__ == '__main__':
    cli.run(main, again='add --resume to the same command to go on')
