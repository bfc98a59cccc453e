# Copyright (c) group_wsss contributors. All rights reserved.
"""One training from tags against two in about the time of one.

On a VOC-layout folder with masks: DATA_ROOT, TRAIN_LIST (tags) and VAL_LIST
(ids, tested on masks) say where things are. The two: a classifier of groups,
labels by its class maps and PAR, and half the iterations of stage 2. All that
the recipe does on the same images: `benchmarks/recipe.py --stage2`.
"""
import argparse
import os
import os.path as osp
import resource
from typing import Dict, List

from recipe import refine, train, val_miou
from results import Results, commit, data_of, need, print_table, threads
from steps import Step, run_step

from group_wsss.utils import cli
from group_wsss.utils.config import read_config

CONFIG = 'configs/single_stage/segformer_effnet-lite0_voc-layout.py'
CLASSIFIER = 'configs/group_wsss/effnet-lite0_voc-layout.py'
STAGE2 = 'configs/segformer/segformer_effnet-lite0_voc-layout.py'
HALF = 300  # iterations of stage 2


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


def rows(seed: int) -> Dict[str, List[Step]]:
    """Give the steps of both rows; the last one is validated."""
    one, first, labels, second = (f'{name}{seed}'
                                  for name in ('single', 'classifier',
                                               'labels', 'stage2_'))
    leaves = f'iter_{read_config(CONFIG).train_cfg.max_iters}.pth'
    images = osp.join(os.environ['DATA_ROOT'], 'JPEGImages')
    return {
        'single stage': [train(one, CONFIG, leaves, seed)],
        'two stages': [
            train(first, CLASSIFIER, 'pseudo_labels/manifest.json', seed,
                  'default_hooks.pseudo_labels.keep_scores=True'),
            refine(labels, 'pixel_adaptive', f'{{{first}/pseudo_labels}}',
                   images),
            train(
                second,
                STAGE2,
                f'iter_{HALF}.pth',
                seed,
                f'train_cfg.max_iters={HALF}',
                f'train_cfg.val_interval={HALF}',
                f'param_scheduler.1.end={HALF}',
                'default_hooks.checkpoint.interval=100',
                PSEUDO_DIR=f'{{{labels}}}')
        ],
    }


def processor_seconds() -> float:
    """Processor time of all commands so far, their loaders included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run what is missing and print the table."""
    args = parse_args()
    keys = ('DATA_ROOT', 'TRAIN_LIST', 'VAL_LIST')
    need(*keys)
    folder = osp.abspath(args.work_dir)
    results = Results(args.out)
    os.makedirs(folder, exist_ok=True)
    for seed in args.seeds:
        for row, steps in rows(seed).items():
            if results.has(row, seed):
                continue
            before = processor_seconds()
            seconds = [run_step(step, folder) for step in steps]
            used = processor_seconds() - before
            fresh = None not in seconds
            commands = [' '.join(['python', *s.command]) for s in steps]
            results.add(
                dict(
                    row=row,
                    seed=seed,
                    val=val_miou(osp.join(folder, steps[-1].name)),
                    minutes=round(sum(seconds) / 60, 1) if fresh else None,
                    processor_minutes=round(used / 60, 1) if fresh else None,
                    data=data_of(*keys),
                    threads=threads(),
                    commands=[
                        text.replace(os.environ['DATA_ROOT'], 'DATA_ROOT')
                        for text in commands
                    ],
                    commit=commit()))
    print_table(results.rows, ('val', 'minutes', 'processor_minutes'))


if __name__ == '__main__':
    cli.run(main)
