# Copyright (c) group_wsss contributors. All rights reserved.
"""What one training from tags reaches, on a VOC-layout folder with masks.

DATA_ROOT, TRAIN_LIST (tags) and VAL_LIST (ids, tested on masks) say where
things are. Two stages on the same images: `benchmarks/recipe.py --stage2`.
"""
import argparse
import json
import os
import os.path as osp
import resource
from typing import List

from group_size import git, print_table
from recipe import train, val_miou
from steps import run_step

from group_wsss.utils import cli
from group_wsss.utils.config import read_config
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write

CONFIG = 'configs/single_stage/segformer_effnet-lite0_voc-layout.py'


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--out',
        default='docs/benchmarks/single_stage.json',
        help='raw results, rows are added to it')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--work-dir', default='work_dirs/single_stage')
    return parser.parse_args()


def processor_seconds() -> float:
    """Processor time of all commands so far, their loaders included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run what is missing and print the table."""
    args = parse_args()
    for key in ('DATA_ROOT', 'TRAIN_LIST', 'VAL_LIST'):
        if key not in os.environ:
            raise InputError(f'set {key}, see {CONFIG}')
    leaves = f'iter_{read_config(CONFIG).train_cfg.max_iters}.pth'
    folder, out = osp.abspath(args.work_dir), osp.abspath(args.out)
    results: List[dict] = []
    if osp.isfile(out):
        with open(out) as file:
            results = json.load(file)
    os.makedirs(folder, exist_ok=True)
    commit = git('rev-parse', '--short', 'HEAD') + ('+' if git(
        'status', '--porcelain', 'projects', 'configs') else '')
    for seed in args.seeds:
        step = train(f'seed{seed}', CONFIG, leaves, seed)
        if any(row['seed'] == seed for row in results):
            continue
        before = processor_seconds()
        seconds = run_step(step, folder)
        used = processor_seconds() - before
        results.append(
            dict(
                row='single stage',
                seed=seed,
                val=val_miou(osp.join(folder, step.name)),
                minutes=seconds and round(seconds / 60, 1),
                processor_minutes=seconds and round(used / 60, 1),
                data='/'.join(
                    osp.basename(osp.normpath(os.environ[key]))
                    for key in ('DATA_ROOT', 'TRAIN_LIST', 'VAL_LIST')),
                threads=os.environ.get('OMP_NUM_THREADS', 'default'),
                command=' '.join(['python', *step.command]),
                commit=commit))
        atomic_write(out, (json.dumps(results, indent=1) + '\n').encode())
    print_table(results, ('val', 'minutes', 'processor_minutes'))


if __name__ == '__main__':
    cli.run(main)
