# Copyright (c) group_wsss contributors. All rights reserved.
"""What each stage and each cue is worth, on a VOC-layout folder with masks.

Trainings see image-level labels alone; masks are read by the evaluation of
finished labels, and by the one stage-2 row that is named after them. Rows
with saliency need `SALIENCY_DIR`, and are left out without. What is done is
skipped, so an interrupted benchmark goes on.
"""
import argparse
import json
import os
import os.path as osp
from typing import Dict, List

from group_size import CONFIG, options
from results import Results, commit, data_of, need, print_table, threads
from steps import Step, run_step

from group_wsss.contrib.analysis import analyze_dump
from group_wsss.evaluation import open_dump
from group_wsss.structures.manifest import Manifest
from group_wsss.utils import cli
from group_wsss.utils.files import read_json

RECIPE = 'configs/recipes/effnet-lite0_voc-layout.py'
STAGE2 = 'configs/segformer/segformer_effnet-lite0_voc-layout.py'
TUNED = STAGE2.replace('voc-layout', 'finetune_voc-layout')
COVER = ('refiners.0.vote=cover', 'refiners.0.bg_threshold=otsu',
         'labeler.bg_threshold=0.5')
# row -> folder of its labels; the threshold is Otsu's wherever there is one
ROWS = {
    'K=1, one scale': 'k1/pseudo_labels',
    'groups': 'recipe/classifier/pseudo_labels',
    'groups + CRF': 'crf',
    'groups + attention walk': 'attention_walk',
    'groups + attention walk + regions': 'attention_regions',
    'groups + random walk': 'recipe/walk',
    'groups + random walk + self-training': 'tags',
    'the recipe: the same + regions': 'recipe/labels',
    'the recipe with --fast': 'fast/labels',
    'K=1 + regions': 'k1_regions',
    'groups + regions': 'regions',
    'groups + regions (cover)': 'regions_cover',
    'groups + random walk + regions': 'walk_regions',
    'K=1 + saliency': 'k1_saliency',
    'groups + saliency': 'saliency',
    'groups + saliency, released rules': 'released',
    'the recipe + saliency': 'saliency_labels',
}


def refine(name: str, config: str, dump: str, images: str, *more: str,
           **env: str) -> Step:
    """Give a step of `tools/refine_labels.py`."""
    command = [
        'tools/refine_labels.py', f'configs/refine/{config}.py', dump,
        f'{{{name}}}', '--images', images
    ]
    if 'regions' in config:
        env['REGIONS_DIR'] = '{recipe/regions}'
    if config != 'saliency_released':  # rules for labels, no scores
        command.append('--keep-scores')
    if more:
        command.extend(['--cfg-options', *more])
    return Step(name, command, env=env)


def train(name: str, config: str, leaves: str, seed: int, *more: str,
          **env: str) -> Step:
    """Give a step of `tools/train.py`."""
    return Step(name, [
        'tools/train.py', config, '--work-dir', f'{{{name}}}', '--cfg-options',
        f'randomness.seed={seed}', *more
    ], leaves, env)


def label_steps(images: str, seed: int) -> List[Step]:
    """Give all that makes labels of a folder of images, in order."""
    k1, groups = '{k1/pseudo_labels}', '{recipe/classifier/pseudo_labels}'
    found = [
        train('k1', CONFIG, 'pseudo_labels/manifest.json', seed,
              'default_hooks.pseudo_labels.keep_scores=True', *options(1, 1)),
        *(Step(name, [
            'tools/make_labels.py', RECIPE, '--work-dir', f'{{{name}}}',
            '--seed',
            str(seed), '--until', 'labels', '--keep-scores', *more
        ], 'labels/manifest.json')
          for name, *more in (['recipe'], ['fast', '--fast'])),
        refine(
            'tags',
            'self_training',
            '{recipe/walk}',
            images,
            SEGMENTOR='{recipe/pixels/iter_250.pth}'),
        refine('crf', 'dense_crf', groups, images),
        refine(
            'attention_walk',
            'attention_walk',
            groups,
            images,
            CHECKPOINT='{recipe/classifier/iter_250.pth}'),
        refine('attention_regions', 'regions', '{attention_walk}', images),
        refine('k1_regions', 'regions', k1, images),
        refine('regions', 'regions', groups, images),
        refine('regions_cover', 'regions', groups, images, *COVER),
        refine('walk_regions', 'regions', '{recipe/walk}', images),
    ]
    if 'SALIENCY_DIR' in os.environ:
        found += [
            refine('k1_saliency', 'saliency', k1, images),
            refine('saliency', 'saliency', groups, images),
            refine('released', 'saliency_released', groups, images),
            refine('saliency_labels', 'saliency', '{recipe/labels}', images,
                   'refiners.0.weight=0.3'),
        ]
    return found


def extra_data(dump: str) -> dict:
    """Tell what made a dump beside tags and superpixels."""
    if 'saliency' in dump or dump == 'released':
        path = osp.join(os.environ['SALIENCY_DIR'], 'saliency.json')
        return dict(saliency=read_json(path))
    return {}


def stage2_steps(masks: str, seed: int) -> Dict[str, Step]:
    """Give stage 2 on three kinds of labels, of two its second training."""
    labels = {
        'stage 2 on: K=1, one scale': '{k1/pseudo_labels}',
        'stage 2 on: the recipe': '{recipe/labels}',
        'stage 2 on: real masks (upper bound)': masks,
    }
    steps = {}
    for number, (row, folder) in enumerate(labels.items()):
        name = f'seg_{number}'
        ids = 'train_dataloader.dataset.ann_file={recipe/labels}/ids.txt'
        env = {'PSEUDO_DIR': folder}
        steps[row] = train(name, STAGE2, 'iter_600.pth', seed, ids, **env)
        if number:
            env['SEGMENTOR'] = f'{{{name}/iter_600.pth}}'
            steps[f'{row}; the backbone then trains'] = train(
                f'tuned_{number}', TUNED, 'iter_250.pth', seed, ids, **env)
    return steps


def judge(path: str, masks: str) -> dict:
    """Measure a dump, in percent.

    ``mIoU`` is that of the labels as written, ``oracle`` that at the best
    threshold of a sweep over masks, where there are scores, ``unknown`` a
    share of pixels.
    """
    report = analyze_dump(open_dump(path, classes='voc'), masks)
    manifest = Manifest.read(path)
    oracle = {}
    if report.get('curve'):
        oracle['oracle'] = round(report['curve']['oracle']['mIoU'], 3)
    return dict(
        mIoU=round(report['errors']['mIoU'], 3),
        **oracle,
        supervision=manifest.supervision,
        boundary=round(report['errors']['boundary_mIoU'], 3),
        unknown=round(100 * manifest.unknown_share, 3),
        images=manifest.images,
        seconds_per_image=round(manifest.duration_seconds / manifest.images,
                                3))


def val_miou(folder: str) -> float:
    """Read the mIoU that a stage-2 training logged at its end."""
    logs = sorted(
        osp.join(root, name) for root, _, names in os.walk(folder)
        for name in names if name == 'scalars.json')
    with open(logs[-1]) as file:
        rows = [json.loads(line) for line in file]
    return [row['mIoU'] for row in rows if 'mIoU' in row][-1]


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('masks', help='folder of mask PNGs, evaluation only')
    parser.add_argument(
        '--out',
        default='docs/benchmarks/recipe.json',
        help='raw results, rows are added to it')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--stage2',
        action='store_true',
        help='train a network on labels of the recipe, on those of a plain '
        'classifier and on masks, and nothing else; VAL_LIST tests it')
    parser.add_argument(
        '--only', nargs='+', metavar='STEP', help='the steps to run')
    parser.add_argument('--work-dir', default='work_dirs/recipe_benchmark')
    return parser.parse_args()


def main() -> None:
    """Run what is missing and print the table."""
    args = parse_args()
    masks = osp.abspath(args.masks)
    need(*('DATA_ROOT', 'TRAIN_LIST', 'VAL_LIST')[:2 + args.stage2])
    images = osp.join(os.environ['DATA_ROOT'], 'JPEGImages')
    results = Results(args.out)

    def keep(row: str, seed: int, step: Step, found: dict) -> None:
        command = ' '.join(['python', *step.command])
        results.add(
            dict(
                row=row,
                seed=seed,
                **found,
                data=data_of('DATA_ROOT', 'TRAIN_LIST', 'VAL_LIST'),
                threads=threads(),
                command=command.replace(images, 'IMAGES'),
                commit=commit()))
        print(f'    {row}, seed {seed}: {found}', flush=True)

    for seed in args.seeds:
        folder = osp.join(osp.abspath(args.work_dir), f'seed{seed}')
        os.makedirs(folder, exist_ok=True)
        for step in label_steps(images, seed):
            if step.name not in (args.only or [step.name]) or (
                    args.stage2 and step.name not in ('k1', 'recipe')):
                continue
            seconds = run_step(step, folder)
            for row, dump in ROWS.items():
                if (dump.split('/')[0] == step.name and not args.stage2
                        and not results.has(row, seed)):
                    found = judge(osp.join(folder, dump), masks)
                    found.update(extra_data(dump))
                    if dump == 'recipe/labels' and seconds:
                        found['seconds'] = round(seconds)  # of all stages
                    keep(row, seed, step, found)
        if args.stage2:
            for row, step in stage2_steps(masks, seed).items():
                if step.name not in (args.only or [step.name]):
                    continue
                run_step(step, folder)
                if not results.has(row, seed):
                    keep(row, seed, step,
                         dict(val=val_miou(osp.join(folder, step.name))))
    print_table(
        results.rows,
        ('mIoU', 'oracle', 'boundary', 'unknown', 'seconds_per_image', 'val'))


if __name__ == '__main__':
    cli.run(main)
