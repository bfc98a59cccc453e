# Copyright (c) group_wsss contributors. All rights reserved.
"""Speed and memory against plain code, one table a call.

Both sides run in turn in one process (A B A B ...), so that what else the
machine does meets both; the tables show medians of the ratios of pairs. The
peer is the released algorithm written plainly, benchmarks/peer.py.
"""
import argparse
import importlib
import os
import os.path as osp
import sys

# before any library starts its threads
os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = osp.dirname(osp.abspath(__file__))
sys.path.insert(0, HERE)

import cv2
import speed_common
import torch
from mmengine.logging import MMLogger
from results import ROOT

from group_wsss.utils import cli

TABLES = {
    'step': 'speed_step',
    'graph': 'speed_graph',
    'cost': 'speed_cost',
    'draws': 'speed_draws',
    'dump': 'speed_dump',
    'epoch': 'speed_epoch',
    'loading': 'speed_loading',
    'startup': 'speed_startup',
}


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('table', choices=list(TABLES))
    parser.add_argument(
        '--data',
        default=osp.join(ROOT, '..', 'shared', 'data'),
        help='folder with coco540/ and voc2012_train_aug_cls.txt')
    parser.add_argument(
        '--repeats', type=int, help='pairs; each table has its own number')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--out', help='docs/benchmarks/speed_TABLE.json')
    parser.add_argument(
        '--full',
        action='store_true',
        help='also the cases that take a CPU long')
    parser.add_argument(
        '--markdown',
        action='store_true',
        help='print the table of what is measured, and measure nothing')
    parser.add_argument(
        '--page', help='put the table into this page, docs/performance.md')
    return parser.parse_args()


def main() -> None:
    """Measure one table, or print it."""
    args = parse_args()
    args.out = args.out or osp.join(ROOT, 'docs', 'benchmarks',
                                    f'speed_{args.table}.json')
    if not args.markdown:
        # how each weight was initialised is not of interest
        MMLogger.get_instance('speed', log_level='ERROR')
        table = importlib.import_module(TABLES[args.table])
        args.repeats = args.repeats or table.REPEATS
        torch.manual_seed(args.seed)
        cv2.setNumThreads(0)  # as mmengine's runner does
        env = speed_common.environment(args)
        speed_common.save(args.out, env, table.measure(args))
    text = speed_common.markdown(args.out)
    print(text)
    if args.page:
        speed_common.update_page(args.page, args.table, text)


if __name__ == '__main__':
    cli.run(main)
