# Copyright (c) group_wsss contributors. All rights reserved.
"""Test a checkpoint: stage 1 or stage 2, or any other mmengine config."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli, launch
from group_wsss.utils.arguments import add_common_arguments
from group_wsss.utils.config import hooks_of
from group_wsss.utils.data_flags import check_data
from group_wsss.utils.errors import InputError

TTA_LOOP = 'group_wsss.TTATestLoop'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='test config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    add_common_arguments(parser)
    parser.add_argument(
        '--out',
        help='a folder for predicted index PNGs (configs with IoUMetric), or '
        'a .pkl file for the raw predictions')
    parser.add_argument(
        '--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='folder for painted images')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds per shown image')
    parser.add_argument(
        '--tta', action='store_true', help='test time augmentation')
    parser.add_argument(
        '--keep-scores',
        action='store_true',
        help='stage 1: keep the score maps beside the label images; how much '
        'disk they need is told when the first ones are there')
    return parser.parse_args()


def enable_drawing(cfg, args: argparse.Namespace) -> None:
    """Switch the visualization hook of either family on."""
    hook = cfg.get('default_hooks', {}).get('visualization', None)
    if hook is None:
        raise InputError(f'{args.config}: --show and --show-dir need '
                         'default_hooks.visualization')
    if str(hook.type).endswith('SegVisualizationHook'):
        hook.draw = True
        if args.show:
            hook.wait_time = args.wait_time
        if args.show_dir:
            cfg.visualizer.save_dir = args.show_dir
    else:
        hook.enable = True
        if args.show_dir:
            hook.out_dir = args.show_dir
    hook.interval = 1
    hook.show = args.show


def enable_tta(cfg, args: argparse.Namespace) -> None:
    """Test with augmentation, as a config with that loop does."""
    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        raise InputError(
            f'{args.config}: --tta needs tta_model and tta_pipeline')
    loop = dict(cfg.get('test_cfg', None) or {})
    if loop.get('type', 'TestLoop') not in ('TestLoop', TTA_LOOP):
        raise InputError(f'{args.config}: --tta replaces TestLoop, but '
                         f'test_cfg.type is {loop["type"]}')
    cfg.test_cfg = dict(loop, type=TTA_LOOP)


def keep_scores(cfg, args: argparse.Namespace) -> None:
    """Make the hook that writes labels keep their scores."""
    hooks = hooks_of(cfg, 'PseudoLabelHook')
    if not hooks:
        raise InputError(f'{args.config}: --keep-scores needs a '
                         'PseudoLabelHook among its hooks')
    for hook in hooks:
        hook['keep_scores'] = True


def keep_results(cfg, args: argparse.Namespace) -> None:
    """Write predictions to ``--out``."""
    metrics = cfg.test_evaluator
    metrics = [metrics] if isinstance(metrics, dict) else list(metrics)
    if args.out.endswith(('.pkl', '.pickle')):
        metrics.append(dict(type='DumpResults', out_file_path=args.out))
        cfg.test_evaluator = metrics
        return
    writers = [m for m in metrics if str(m['type']).endswith('IoUMetric')]
    if not writers:
        raise InputError(f'--out {args.out}: test_evaluator has no IoUMetric '
                         'that writes PNGs, give a .pkl file')
    cli.prepare_work_dir(args.out)
    for metric in writers:
        metric['output_dir'] = args.out


def main() -> None:
    """Test."""
    args = parse_args()
    cfg = cli.load_config(args)
    cli.check_checkpoint(args.checkpoint)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show or args.show_dir:
        enable_drawing(cfg, args)
    if args.tta:
        enable_tta(cfg, args)
    if args.keep_scores:
        keep_scores(cfg, args)
    if args.out is not None:
        keep_results(cfg, args)
    if cfg.get('test_dataloader', None) is None:
        raise InputError(f'{args.config}: has no test_dataloader')
    check_data(cfg, ['test_dataloader'])
    cli.prepare_work_dir(cfg.work_dir)
    cli.check_checkpoint(args.checkpoint, cfg)
    launch.prepare_launcher(cfg, args)

    from mmengine.dist import is_main_process

    runner = launch.build_runner(cfg, 'test_dataloader')
    runner.test()
    if is_main_process():
        print(f'Written to {runner.log_dir}', flush=True)


if __name__ == '__main__':
    cli.run(main)
