# Copyright (c) group_wsss contributors. All rights reserved.
"""Labels of groups with and without a token bank, against a plain classifier.

Whole test loops of the shipped configs with random weights, from JPEG files
to label images, in turn in one process; the pass that fills the bank counts.
Groups without a bank take K backbone passes an image, so they label fewer
images. Figures are processor seconds an image, on one thread.
"""
import argparse
import os
import os.path as osp
import sys
import tempfile
from typing import Any, Callable, Dict

# before any library starts its threads
os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = osp.dirname(osp.abspath(__file__))
sys.path.insert(0, HERE)

import cv2
import speed_common
import torch
from mmengine.config import Config
from results import ROOT

from group_wsss.engine.runner import DataRunner
from group_wsss.pseudo_labels.score_size import human_bytes
from group_wsss.structures import TokenBank
from group_wsss.utils import cli

CONFIGS = dict(vgg16='voc.py', r50='voc_r50.py', lite0='voc_effnet-lite0.py')
# whose backbone is frozen, and kept
FROZEN = 'effnet-lite0_voc-layout.py'
HOOK = 'default_hooks.token_bank'


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--data',
        default=osp.join(ROOT, '..', 'shared', 'data', 'voc1155'),
        help='a VOC-layout folder')
    parser.add_argument('--list', default='ImageSets/train_a_cls.txt')
    parser.add_argument(
        '--backbones', nargs='+', choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument(
        '--groups', type=int, nargs='+', default=[16, 64], help='sizes K')
    parser.add_argument(
        '--images', type=int, default=24, help='labelled with a bank')
    parser.add_argument(
        '--plain-images',
        type=int,
        default=1,
        help='labelled in groups without a bank; 0 leaves them out')
    parser.add_argument('--pool-size', type=int, help='of the bank')
    parser.add_argument('--repeats', type=int, default=1)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--views',
        action='store_true',
        help='one view of an image against three scales and flips, K = 16, '
        'by the configuration whose backbone is frozen and kept; to '
        'docs/benchmarks/views.json')
    parser.add_argument('--out', default='docs/benchmarks/token_bank.json')
    parser.add_argument(
        '--size',
        action='store_true',
        help='bytes of the banks of VOC 2012, 10,582 images; nothing runs')
    return parser.parse_args()


def config(name: str, args: argparse.Namespace) -> Config:
    """A shipped config without weights to download."""
    path = osp.join(ROOT, 'configs', 'group_wsss', CONFIGS.get(name, FROZEN))
    cfg = Config.fromfile(path)
    speed_common.without_weights(cfg.model)
    if args.pool_size:
        cfg.merge_from_dict({f'{HOOK}.pool_size': args.pool_size})
    return cfg


def bank_bytes(cfg: Config, images: int) -> int:
    """Size of the file of tokens."""
    width = (
        cfg.model.neck.coattention.key_channels + cfg.model.head.num_classes)
    tokens = cfg.default_hooks.token_bank.pool_size**2
    return TokenBank('', images, tokens, width, '').nbytes


def loop(cfg: Config, size: int, bank: bool, images: int,
         args: argparse.Namespace, folder: str) -> Callable[[], Any]:
    """A whole test loop, built already; it starts without a bank."""
    cfg = Config(cfg.to_dict())
    key = 'test_dataloader'
    data: Dict[str, Any] = dict(
        data_root=args.data, ann_file=args.list, data_prefix='JPEGImages')
    inner = {**cfg.test_dataloader.dataset.dataset, **data}
    cfg.merge_from_dict({
        f'{key}.num_workers': 0,
        f'{key}.persistent_workers': False,
        f'{key}.dataset.dataset': dict(inner, indices=images),
        'test_group_size': size,
        'log_level': 'ERROR'
    })
    if not bank:
        # partners are other images, of which no more are read
        cfg.merge_from_dict({
            f'{key}.dataset.reference':
            dict(inner, indices=args.images),
            HOOK:
            None
        })
    cfg.work_dir = osp.join(folder, f'{size}-{bank}')
    cfg.experiment_name = osp.basename(folder) + f'{size}-{bank}'
    torch.manual_seed(args.seed)
    runner = DataRunner.from_cfg(cfg)
    model = runner.model
    model.init_weights()
    model.eval()
    if model.with_neck:
        with torch.no_grad():
            maps = model.backbone_maps(torch.randn(2, 3, 384, 384))[0]
            model.neck.coattention.whiten.update(model.neck.project(maps))
            model.neck.coattention.whiten.settle()
    runner.call_hook('before_run')
    test_loop = runner.test_loop

    def call() -> None:
        for name in ('bank.json', 'tokens.bin'):
            path = osp.join(cfg.work_dir, 'token_bank', name)
            if osp.exists(path):
                os.remove(path)
        test_loop.run()

    return call


def measure(name: str, args: argparse.Namespace) -> Dict[str, Any]:
    """A row for a backbone."""
    cfg = config(name, args)
    with tempfile.TemporaryDirectory() as folder:
        calls, images = {}, {}
        for size, bank in [(1, False), *((k, True) for k in args.groups),
                           *((k, False) for k in args.groups)]:
            number = args.images
            if size > 1 and not bank:
                number = args.plain_images
            if not number:
                continue
            key = f'K={size}' + ', bank' * bank
            images[key] = number
            calls[key] = loop(cfg, size, bank, number, args, folder)
        times = speed_common.paired(calls, args.repeats, warmup=0)
    for key, timing in times.items():
        for seconds in timing.values():
            seconds[:] = [second / images[key] for second in seconds]
    row: Dict[str, Any] = {
        'backbone': name,
        'tokens': cfg.default_hooks.token_bank.pool_size**2,
        'bank of VOC 2012': human_bytes(bank_bytes(cfg, 10582)),
        'K=1 ms': 1000 * speed_common.seconds(times['K=1'])
    }
    for key in list(calls)[1:]:
        row[f'time, {key} / K=1'] = speed_common.ratio(times[key],
                                                       times['K=1'])
    return dict(row, images=images, times=times)


def measure_views(args: argparse.Namespace) -> Dict[str, Any]:
    """A row for scales and flips; the first pass fills what is kept."""
    cfg = config('frozen', args)
    many = Config(cfg.to_dict())
    many.test_cfg = dict(type='group_wsss.TTATestLoop')
    with tempfile.TemporaryDirectory() as one, \
            tempfile.TemporaryDirectory() as six:
        calls = {
            'one view': loop(cfg, 16, True, args.images, args, one),
            'six views': loop(many, 16, True, args.images, args, six)
        }
        first = speed_common.paired(calls, 1, warmup=0)
        times = speed_common.paired(calls, args.repeats, warmup=0)
    row: Dict[str, Any] = {'partners': 15, 'images': args.images}
    for title, found in (('first pass', first), ('kept features', times)):
        for key, timing in found.items():
            row[f'{key}, {title}: ms an image'] = (
                1000 * speed_common.seconds(timing) / args.images)
    return dict(row, times=times)


def main() -> None:
    """Measure, or tell sizes."""
    args = parse_args()
    if args.views and args.out == 'docs/benchmarks/token_bank.json':
        args.out = 'docs/benchmarks/views.json'
    if args.size:
        for name in args.backbones:
            count = bank_bytes(config(name, args), 10582)
            print(f'{name}: {count} bytes, {human_bytes(count)}')
        return
    cv2.setNumThreads(0)  # as mmengine's runner does
    args.device = 'cpu'
    env = speed_common.environment(args)
    rows = []
    for name in ['frozen'] if args.views else args.backbones:
        rows.append(measure_views(args) if args.views else measure(name, args))
        speed_common.save(args.out, env, rows)
        print(speed_common.markdown(args.out), flush=True)


if __name__ == '__main__':
    cli.run(main)
