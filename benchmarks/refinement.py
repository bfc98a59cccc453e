# Copyright (c) group_wsss contributors. All rights reserved.
"""What each step of label making is worth, on a VOC-layout folder with masks.

Trainings see image-level labels alone; masks are read by the evaluation of
finished dumps, and by the one stage-2 row that is named after them. What is
done is skipped, so an interrupted benchmark goes on.
"""
import argparse
import json
import os
import os.path as osp
import shutil
import subprocess
import sys
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

ROOT = osp.abspath(osp.join(osp.dirname(__file__), '..'))
sys.path.insert(0, osp.join(ROOT, 'projects'))

from group_size import CONFIG, git, options

from group_wsss.contrib.analysis import analyze_dump
from group_wsss.evaluation import open_dump
from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write

AFFINITY = 'configs/affinity/affinity_effnet-lite0_voc-layout.py'
SELF_TRAINING = 'configs/self_training/fcn_effnet-lite0_voc-layout.py'
STAGE2 = 'configs/deeplabv3/deeplabv3_effnet-lite0_voc-layout.py'
# class maps divided by their maximum; chosen by looking at masks, see the
# table of group sizes. Refined scores are equal with background at 0.5.
RAW, REFINED = 0.4, 0.5
HOOKS = '''_base_ = {base!r}
default_hooks = dict(
    pseudo_labels=dict(
        keep_scores=True, labeler=dict(bg_threshold='otsu')),
    {more})
'''
ACCUMULATE = ("accumulation=dict(type='group_wsss.AttentionAccumulationHook', "
              'begin_iter=125)')


class Step(NamedTuple):
    """A command that leaves a file.

    Args:
        name (str): Its folder.
        command (list[str]): Arguments of python; ``{NAME}`` is the folder
            of another step, ``{last:NAME}`` its latest checkpoint.
        leaves (str): In the folder, when it is done.
        env (dict): Environment variables, filled in likewise.
    """
    name: str
    command: List[str]
    leaves: str = 'manifest.json'
    env: Dict[str, str] = {}


class Row(NamedTuple):
    """A line of the table: title, folder of the dump, fixed threshold."""
    title: str
    dump: str
    fixed: float


ROWS = [
    Row('K=1, one scale', 'k1/pseudo_labels', RAW),
    Row('K=1, three scales and flip', 'k1_ms/pseudo_labels', RAW),
    Row('groups, one scale', 'group/pseudo_labels', RAW),
    Row('groups, three scales and flip', 'group_ms/pseudo_labels', RAW),
    Row('accumulated while training', 'accumulated', RAW),
    Row('groups, three scales and flip + CRF', 'crf', REFINED),
    Row('groups, three scales and flip + PAR', 'par', REFINED),
    Row('groups, three scales and flip + random walk', 'walk', REFINED),
    Row('groups, three scales and flip + random walk + CRF', 'walk_crf',
        REFINED),
    Row('groups, three scales and flip + walk of a second network', 'walk2',
        REFINED),
    Row('groups, three scales and flip + random walk + self-training',
        'labels', REFINED),
]


def refine(config: str, dump: str, out: str, images: str, **env: str) -> Step:
    """A step that refines the scores of another one."""
    return Step(
        out, [
            'tools/refine_labels.py', f'configs/refine/{config}.py', dump,
            f'{{{out}}}', '--images', images, '--keep-scores', '--classes',
            'voc'
        ],
        env=env)


def label_steps(images: str, seed: int) -> List[Step]:
    """All that makes labels, in order."""

    def train(name: str, config: str, *more: str) -> Step:
        return Step(name, [
            'tools/train.py', config, '--work-dir', f'{{{name}}}',
            '--cfg-options', f'randomness.seed={seed}', *more
        ], 'pseudo_labels/manifest.json')

    def scales(name: str, source: str, *more: str) -> Step:
        return Step(name, [
            'tools/test.py', f'{{{source}}}.py', f'{{last:{source}}}', '--tta',
            '--work-dir', f'{{{name}}}', '--cfg-options',
            f'randomness.seed={seed}', *more
        ], 'pseudo_labels/manifest.json')

    groups = '{group_ms/pseudo_labels}'
    # the shortest road to the best labels first
    return [
        train('k1', '{k1}.py', *options(1, 1)),
        train('group', '{group}.py'),
        scales('group_ms', 'group'),
        refine('seeds', groups, 'seeds', images),
        train('affinity', AFFINITY)._replace(
            leaves='iter_150.pth', env={'PSEUDO_DIR': '{seeds}'}),
        refine(
            'random_walk', groups, 'walk', images, AFFINITY='{last:affinity}'),
        train('pixels', SELF_TRAINING)._replace(
            leaves='iter_250.pth', env={'PSEUDO_DIR': '{walk}'}),
        refine(
            'self_training',
            '{walk}',
            'labels',
            images,
            SEGMENTOR='{last:pixels}'),
        refine('seeds_refined', '{walk}', 'seeds2', images),
        train('affinity2', AFFINITY)._replace(
            leaves='iter_150.pth', env={'PSEUDO_DIR': '{seeds2}'}),
        refine(
            'random_walk',
            groups,
            'walk2',
            images,
            AFFINITY='{last:affinity2}'),
        refine('dense_crf_refined', '{walk}', 'walk_crf', images),
        refine('pixel_adaptive', groups, 'par', images),
        refine('threshold', '{group}/attention/merged', 'accumulated', images),
        refine('dense_crf', groups, 'crf', images),
        scales('k1_ms', 'k1', *options(1, 1)),
    ]


def stage2_steps(masks: str, seed: int) -> List[Tuple[str, Step]]:
    """DeepLabV3 on three kinds of labels, by the titles of their rows."""
    steps = []
    for name, title, labels in (('best', f'DeepLabV3 on: {ROWS[-1].title}',
                                 f'{{{ROWS[-1].dump}}}'),
                                ('k1', 'DeepLabV3 on: K=1, one scale',
                                 '{k1/pseudo_labels}'),
                                ('masks',
                                 'DeepLabV3 on: real masks (upper bound)',
                                 masks)):
        steps.append(
            (title,
             Step(
                 f'seg_{name}', [
                     'tools/train.py', STAGE2, '--work-dir', f'{{seg_{name}}}',
                     '--cfg-options', f'randomness.seed={seed}',
                     'train_dataloader.dataset.ann_file='
                     '{k1/pseudo_labels}/ids.txt'
                 ],
                 'last_checkpoint',
                 env={'PSEUDO_DIR': labels})))
    return steps


def fill(word: str, folder: str) -> str:
    """Put folders and checkpoints in the place of their names."""
    while '{' in word:
        start, end = word.index('{'), word.index('}')
        name = word[start + 1:end]
        if name.startswith('last:'):
            path = osp.join(folder, name[5:])
            with open(osp.join(path, 'last_checkpoint')) as file:
                # the file holds the path as it was
                path = osp.join(path, osp.basename(file.read().strip()))
        else:
            path = osp.join(folder, name)
        word = word[:start] + path + word[end + 1:]
    return word


def run_step(step: Step, folder: str) -> Optional[float]:
    """Run a command unless it has been.

    Args:
        step (Step): The step.
        folder (str): Of this seed.

    Returns:
        float, optional: Seconds; None if it was done before.
    """
    out = osp.join(folder, step.name)
    if osp.exists(osp.join(out, step.leaves)):
        return None
    shutil.rmtree(out, ignore_errors=True)
    command = [fill(word, folder) for word in step.command]
    env = {key: fill(value, folder) for key, value in step.env.items()}
    print(f'{step.name}: {" ".join(command)}', flush=True)
    start = time.time()
    with open(f'{out}.log', 'w') as log:
        code = subprocess.run([sys.executable, *command],
                              cwd=ROOT,
                              env={
                                  **os.environ,
                                  **env
                              },
                              stdout=log,
                              stderr=subprocess.STDOUT).returncode
    if code:
        raise InputError(f'{out}.log: the command ended with status {code}')
    return time.time() - start


def judge(row: Row, folder: str, masks: str) -> dict:
    """mIoU of a dump at three thresholds.

    Args:
        row (Row): The row.
        folder (str): Of the seed.
        masks (str): Folder of masks.

    Returns:
        dict: Percent, seconds for an image as the manifest tells.
    """
    path = osp.join(folder, row.dump)
    report = analyze_dump(open_dump(path, classes='voc'), masks)
    with open(osp.join(path, 'manifest.json')) as file:
        manifest = json.load(file)
    curve = report['curve']
    fixed = [p for p in curve['points'] if p['threshold'] == row.fixed]
    return dict(
        row=row.title,
        fixed_threshold=row.fixed,
        fixed=fixed[0]['mIoU'],
        mask_free_threshold=curve['mask_free']['otsu']['threshold'],
        mask_free=curve['mask_free']['otsu']['mIoU'],
        oracle_threshold=curve['oracle']['threshold'],
        oracle=curve['oracle']['mIoU'],
        labels=report['errors']['mIoU'],
        boundary=report['errors']['boundary_mIoU'],
        unknown=100 * manifest['unknown_share'],
        seconds_per_image=manifest['duration_seconds'] / manifest['images'])


def val_miou(folder: str) -> float:
    """mIoU that a stage-2 training logged at its end."""
    logs = sorted(
        osp.join(root, name) for root, _, names in os.walk(folder)
        for name in names if name == 'scalars.json')
    with open(logs[-1]) as file:
        rows = [json.loads(line) for line in file]
    return [row['mIoU'] for row in rows if 'mIoU' in row][-1]


def write_configs(folder: str) -> None:
    """Stage 1 with scores kept, one with accumulation."""
    for name, more in (('k1', ''), ('group', ACCUMULATE)):
        text = HOOKS.format(base=osp.join(ROOT, CONFIG), more=more)
        atomic_write(osp.join(folder, f'{name}.py'), text.encode())


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('masks', help='folder of mask PNGs, evaluation only')
    parser.add_argument(
        '--out',
        default='docs/benchmarks/refinement.json',
        help='raw results, rows are added to it')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--stage2', action='store_true', help='train DeepLabV3 as well')
    parser.add_argument('--work-dir', default='work_dirs/refinement')
    return parser.parse_args()


def main() -> None:
    """Run what is missing and print the table."""
    args = parse_args()
    masks, out = osp.abspath(args.masks), osp.abspath(args.out)
    for key in ('DATA_ROOT', 'TRAIN_LIST'):
        if key not in os.environ:
            raise InputError(f'set {key}, see {CONFIG}')
    images = osp.join(os.environ['DATA_ROOT'], 'JPEGImages')
    results = []
    if osp.isfile(out):
        with open(out) as file:
            results = json.load(file)

    def done(title: str, seed: int) -> bool:
        return any(r['row'] == title and r['seed'] == seed for r in results)

    def keep(seed: int, result: dict) -> None:
        commit = git('rev-parse', '--short', 'HEAD') + ('+' if git(
            'status', '--porcelain', 'projects', 'configs') else '')
        result.update(
            seed=seed,
            commit=commit,
            threads=os.environ.get('OMP_NUM_THREADS', 'default'))
        results.append(result)
        text = json.dumps(results, indent=1) + '\n'
        atomic_write(out, text.encode())
        print(f'  seed {seed}: {result}', flush=True)

    for seed in args.seeds:
        folder = osp.join(osp.abspath(args.work_dir), f'seed{seed}')
        write_configs(folder)
        for step in label_steps(images, seed):
            run_step(step, folder)
            for row in ROWS:
                if (row.dump.split('/')[0] == step.name
                        and not done(row.title, seed)):
                    keep(seed, judge(row, folder, masks))
        if args.stage2:
            for title, step in stage2_steps(masks, seed):
                run_step(step, folder)
                if not done(title, seed):
                    miou = val_miou(osp.join(folder, step.name))
                    keep(seed, dict(row=title, val=miou))
    print_table(results)


def print_table(results: List[dict]) -> None:
    """Means over seeds, with the lowest and highest, as Markdown.

    Args:
        results (list[dict]): Of :func:`judge`.
    """
    keys = ('fixed', 'mask_free', 'oracle', 'boundary', 'unknown',
            'seconds_per_image', 'val')
    print('| row | seeds | ' + ' | '.join(keys) + ' |')
    print('| -- ' * (len(keys) + 2) + '|')
    for title in dict.fromkeys(r['row'] for r in results):
        mine = [r for r in results if r['row'] == title]
        cells = []
        for key in keys:
            got = [r[key] for r in mine if key in r]
            cells.append(f'{sum(got) / len(got):.2f} ({min(got):.2f} to '
                         f'{max(got):.2f})' if got else '')
        print(f'| {title} | {len(mine)} | ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
    cli.run(main)
