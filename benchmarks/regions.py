# Copyright (c) group_wsss contributors. All rights reserved.
"""What regions add to tags, on a VOC-layout folder with masks.

One classifier of groups and one affinity network, trained on tags alone, and
labels with and without the regions of `tools/make_regions.py`, before and
after a walk and a CRF; every threshold is chosen from the scores. The masks
of the folder are read here, afterwards. Rows that the JSON file already has
are skipped.
"""
import argparse
import json
import os
import os.path as osp
import sys
from typing import Dict, List, Tuple

from group_size import CONFIG, ROOT, git, print_table
from refinement import AFFINITY, Step, refine, run_step

from group_wsss.datasets import VOC_CLASSES
from group_wsss.evaluation import evaluate_folder
from group_wsss.structures.manifest import Manifest
from group_wsss.structures.regions import SETTINGS
from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write, read_json

COVER = ('refiners.0.vote=cover', 'refiners.0.bg_threshold=otsu',
         'labeler.bg_threshold=0.5')
# title -> folder of the dump, the folder whose scores it refines, config and
# options; a dump stands behind the one that it needs. {r} are the regions,
# so that several kinds share a work folder and a file of results.
ROWS: Dict[str, Tuple[str, str, str, Tuple[str, ...]]] = {
    'tags only': ('tags', '', 'threshold', ()),
    '{r} (mean)': ('{r}.mean', '', 'regions', ()),
    '{r} (cover)': ('{r}.cover', '', 'regions', COVER),
    'CRF': ('crf', '', 'dense_crf', ()),
    '{r} (mean), CRF': ('{r}.mean_crf', '{r}.mean', 'dense_crf', ()),
    'CRF, {r} (mean)': ('{r}.crf_mean', 'crf', 'regions', ()),
    'walk': ('walk', '', 'random_walk', ()),
    '{r} (mean), walk': ('{r}.mean_walk', '{r}.mean', 'random_walk', ()),
    'walk, {r} (mean)': ('{r}.walk_mean', 'walk', 'regions', ()),
    '{r} (cover), walk': ('{r}.cover_walk', '{r}.cover', 'random_walk', ()),
    'walk, {r} (cover)': ('{r}.walk_cover', 'walk', 'regions', COVER),
    'walk, CRF': ('walk_crf', 'walk', 'dense_crf_refined', ()),
}


def steps(images: str, seed: int,
          regions: str) -> Tuple[List[Step], Dict[str, Step]]:
    """Trainings, and each kind of labels.

    Args:
        images (str): Folder of the images.
        seed (int): Of the trainings.
        regions (str): Name of the regions.

    Returns:
        tuple: Steps of the trainings, in order; those of the labels by the
        title of their row, in an order in which they can run.
    """

    def train(name: str, config: str, leaves: str, *more: str,
              **env: str) -> Step:
        command = [
            'tools/train.py', config, '--work-dir', f'{{{name}}}',
            '--cfg-options', f'randomness.seed={seed}', *more
        ]
        return Step(name, command, leaves, env)

    groups = '{group/pseudo_labels}'
    trainings = [
        train('group', CONFIG, 'pseudo_labels/manifest.json',
              'default_hooks.pseudo_labels.keep_scores=True'),
        refine('seeds', groups, 'seeds', images),
        train('affinity', AFFINITY, 'iter_150.pth', PSEUDO_DIR='{seeds}')
    ]
    labels = {}
    for title, (out, source, config, more) in ROWS.items():
        title, out, source = (
            text.replace('{r}', regions) for text in (title, out, source))
        env = dict(AFFINITY='{last:affinity}') if 'walk' in config else {}
        source = f'{{{source}}}' if source else groups
        labels[title] = refine(config, source, out, images, **env)
        if more:
            labels[title].command.extend(['--cfg-options', *more])
    return trainings, labels


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('masks', help='folder of mask PNGs, evaluation only')
    parser.add_argument(
        '--out',
        default='docs/benchmarks/regions.json',
        help='raw results, rows are added to it')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--work-dir', default='work_dirs/regions_benchmark')
    return parser.parse_args()


def main() -> None:
    """Run what is missing and print the table."""
    args = parse_args()
    masks, out = osp.abspath(args.masks), osp.abspath(args.out)
    for key in ('DATA_ROOT', 'TRAIN_LIST', 'REGIONS_DIR'):
        if key not in os.environ:
            raise InputError(f'set {key}, see {CONFIG} and '
                             'configs/refine/regions.py')
    images = osp.join(os.environ['DATA_ROOT'], 'JPEGImages')
    path = osp.join(os.environ['REGIONS_DIR'], SETTINGS)
    if not osp.isfile(path):
        raise InputError(f'{path}: no such file: make the regions by '
                         'tools/make_regions.py')
    made_with = read_json(path)
    name = str(made_with['backend'])
    if 'size' in made_with:
        name += f'-{made_with["size"]}'
    results: List[dict] = []
    if osp.isfile(out):
        results = read_json(out)
    for seed in args.seeds:
        folder = osp.join(osp.abspath(args.work_dir), f'seed{seed}')
        os.makedirs(folder, exist_ok=True)
        trainings, labels = steps(images, seed, name)
        for step in trainings:
            run_step(step, folder)
        for row, step in labels.items():
            run_step(step, folder)
            if any(r['row'] == row and r['seed'] == seed for r in results):
                continue
            dump = osp.join(folder, step.name)
            found = evaluate_folder(dump, masks, ('background', *VOC_CLASSES))
            manifest = Manifest.read(dump)
            commands = [['python', *one.command] for one in trainings]
            results.append(
                dict(
                    row=row,
                    seed=seed,
                    mIoU=round(found['mIoU'], 3),
                    thresholds=manifest.chosen_thresholds,
                    supervision=manifest.supervision,
                    seconds=manifest.duration_seconds,
                    images=found['images'],
                    regions=made_with,
                    threads=os.environ.get('OMP_NUM_THREADS', 'default'),
                    train=[
                        ' '.join(c).replace(images, 'IMAGES') for c in commands
                    ],
                    labels=' '.join(['python',
                                     *step.command]).replace(images, 'IMAGES'),
                    commit=git('rev-parse', '--short', 'HEAD') +
                    ('+' if git('status', '--porcelain', 'projects', 'configs')
                     else '')))
            print(f'    {row}: mIoU {found["mIoU"]:.2f}', flush=True)
            text = json.dumps(results, indent=1) + '\n'
            atomic_write(out, text.encode())
    print_table(results)


if __name__ == '__main__':
    sys.path.insert(0, ROOT)
    cli.run(main)
