# Copyright (c) group_wsss contributors. All rights reserved.
"""What saliency adds to tags, on a VOC-layout folder with masks.

Three classifiers, each trained on tags once, and their labels by tags alone
and by saliency maps of `tools/make_saliency.py`. These are extra data: their
network was trained on masks of salient objects. The masks of the folder are
read here, afterwards. Rows that the JSON file already has are skipped.
"""
import argparse
import json
import os
import os.path as osp
import sys
from typing import Dict, List

from group_size import CONFIG, ROOT, git, options, print_table, whitened
from steps import Step, run_step

from group_wsss.datasets import VOC_CLASSES
from group_wsss.evaluation import evaluate_folder
from group_wsss.structures.manifest import Manifest
from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write

# name -> config and options of the training
NETWORKS: Dict[str, List[str]] = {
    'K=1 (plain classifier)': [CONFIG, *options(1, 1)],
    'K=4 (default)': [CONFIG, *options(4, 64)],
    'K=4, whitened keys, 64 at inference': [CONFIG, *whitened(64)],
}
# name -> config of the labels
LABELS = {
    'tags only': 'configs/refine/threshold.py',
    'saliency, released rules': 'configs/refine/saliency_released.py',
    'saliency, mean': 'configs/refine/saliency.py',
}


def steps(number: int, network: str, seed: int, threshold: str,
          images: str) -> Dict[str, Step]:
    """Training of a network, and each kind of labels.

    Args:
        number (int): Of the network; names the folders.
        network (str): Key of ``NETWORKS``.
        seed (int): Of the training.
        threshold (str): ``bg_threshold`` of labels whose labeler has one.
        images (str): Folder of the images.

    Returns:
        dict[str, Step]: By the name of the labels; the training is ``''``.
    """
    config, *extra = NETWORKS[network]
    hook = 'default_hooks.pseudo_labels'
    found = {
        '':
        Step(f'train{number}', [
            'tools/train.py', config, '--work-dir', f'{{train{number}}}',
            '--cfg-options', f'randomness.seed={seed}',
            f'{hook}.keep_scores=True', *extra
        ], 'pseudo_labels/manifest.json')
    }
    for place, (name, refine) in enumerate(LABELS.items()):
        out = f'labels{number}.{place}'
        found[name] = Step(out, [
            'tools/refine_labels.py', refine,
            f'{{train{number}/pseudo_labels}}', f'{{{out}}}', '--images',
            images
        ])
        if 'released' not in name:
            found[name].command.extend(
                ['--cfg-options', f'labeler.bg_threshold={threshold}'])
    return found


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('masks', help='folder of mask PNGs, evaluation only')
    parser.add_argument(
        '--out',
        default='docs/benchmarks/saliency.json',
        help='raw results, rows are added to it')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--threshold',
        default='otsu',
        help='background threshold of scores and of means: otsu (default), '
        'chosen without masks, or a number')
    parser.add_argument('--work-dir', default='work_dirs/saliency_benchmark')
    return parser.parse_args()


def main() -> None:
    """Run what is missing and print the table."""
    args = parse_args()
    masks, out = osp.abspath(args.masks), osp.abspath(args.out)
    for key in ('DATA_ROOT', 'TRAIN_LIST', 'SALIENCY_DIR'):
        if key not in os.environ:
            raise InputError(f'set {key}, see {CONFIG} and '
                             'configs/refine/saliency.py')
    images = osp.join(os.environ['DATA_ROOT'], 'JPEGImages')
    results: List[dict] = []
    if osp.isfile(out):
        with open(out) as file:
            results = json.load(file)
    for seed in args.seeds:
        folder = osp.join(osp.abspath(args.work_dir), f'seed{seed}')
        os.makedirs(folder, exist_ok=True)
        for number, network in enumerate(NETWORKS):
            todo = steps(number, network, seed, args.threshold, images)
            train = todo.pop('')
            for name, step in todo.items():
                row = f'{network}, {name}'
                if any(r['row'] == row and r['seed'] == seed for r in results):
                    continue
                run_step(train, folder)
                run_step(step, folder)
                path = osp.join(folder, step.name)
                found = evaluate_folder(path, masks,
                                        ('background', *VOC_CLASSES))
                manifest = Manifest.read(path)
                results.append(
                    dict(
                        row=row,
                        seed=seed,
                        mIoU=round(found['mIoU'], 3),
                        mIoU_known=round(found['mIoU_known'], 3),
                        unknown=round(found['unknown_share'], 3),
                        thresholds=manifest.chosen_thresholds,
                        supervision=manifest.supervision,
                        images=found['images'],
                        threads=os.environ.get('OMP_NUM_THREADS', 'default'),
                        train=' '.join(['python', *train.command]),
                        labels=' '.join(['python', *step.command
                                         ]).replace(images, 'IMAGES'),
                        commit=git('rev-parse', '--short', 'HEAD') +
                        ('+' if git('status', '--porcelain', 'projects',
                                    'configs') else '')))
                print(f'    {row}: mIoU {found["mIoU"]:.2f}', flush=True)
                text = json.dumps(results, indent=1) + '\n'
                atomic_write(out, text.encode())
    print_table(results)


if __name__ == '__main__':
    sys.path.insert(0, ROOT)
    cli.run(main)
