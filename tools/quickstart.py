# Copyright (c) group_wsss contributors. All rights reserved.
"""The whole road on the toy set; called by tools/quickstart.sh."""
import argparse
import json
import os
import os.path as osp
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'projects'))
sys.path.insert(0, str(ROOT / 'tools' / 'misc'))

from stages import Stage, run_stages

from group_wsss.utils import cli
from group_wsss.utils.errors import InputError

# a checkout is the place to run in, an installed package is not
IN_CHECKOUT = (ROOT / 'projects').is_dir()
BASE = '' if IN_CHECKOUT else f'{ROOT}/'
STAGE1 = f'{BASE}configs/group_wsss/toy.py'
STAGE2 = f'{BASE}configs/deeplabv3/deeplabv3_tiny_toy.py'
CLASSES = ('ring', 'cross', 'wedge', 'checker', 'dots', 'bars')
# K = 1 is the plain classifier; the same config otherwise
PLAIN = ('group_size=1', )
WEAK = {'group': 'groups', 'k1': 'K = 1'}
ROWS = {
    'group': 'groups',
    'k1': 'K = 1, plain classifier',
    'full': 'full masks (upper bound)'
}
COLUMNS = {
    'cam_miou': 'class maps',
    'pseudo_label_miou': 'pseudo labels',
    'segmentation_miou': 'segmentation'
}
# seconds of a run on two shared cores, for the time that is left
SHARES = {
    'toy-set': 10, 'group-train': 131, 'group-maps': 12, 'k1-train': 90,
    'k1-maps': 9, 'group-seg': 117, 'group-test': 9, 'k1-seg': 117,
    'k1-test': 9, 'full-seg': 119, 'full-test': 8
}  # yapf: disable
SHEET_ROWS = 8


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='tools/quickstart.sh', description=__doc__)
    parser.add_argument(
        '--work-dir',
        default='work_dirs/quickstart',
        help='where everything but the toy set goes (default: %(default)s)')
    parser.add_argument(
        '--data',
        default='data/toy',
        help='folder of the toy set (default: %(default)s)')
    parser.add_argument(
        '--seed', type=int, default=0, help='of all trainings (default: 0)')
    parser.add_argument(
        '--compare',
        action='store_true',
        help='also a plain classifier (K = 1) and full masks, which takes '
        'three times as long; what is done already is kept')
    parser.add_argument(
        '--smoke',
        action='store_true',
        help='a few images and iterations: shows that all works, the '
        'figures mean nothing; needs a --data of its own')
    return parser.parse_args()


def options(*values: str) -> List[str]:
    """``--cfg-options``, or nothing."""
    return ['--cfg-options', *values] if values else []


def plan(args: argparse.Namespace) -> List[Stage]:
    """All stages in their order."""
    python, work = sys.executable, Path(args.work_dir)
    data = Path(args.data)
    toy = [python, f'{BASE}tools/dataset_converters/toy.py', '-o', args.data]
    short1, short2 = [], []
    if args.smoke:
        toy += ['--num-train', '32', '--num-val', '12']
        short = [
            'train_dataloader.batch_size=8',
            'default_hooks.checkpoint.interval=2',
            'default_hooks.logger.interval=1'
        ]
        short1 = ['train_cfg.max_iters=6', *short]
        short2 = ['train_cfg.max_iters=4', 'train_cfg.val_interval=4', *short]
    seed = f'randomness.seed={args.seed}'
    env = {'TOY_ROOT': str(data)}
    stages = [Stage('toy-set', 'generate the toy set', toy, {}, [])]

    def add(name: str, title: str, script: str, config: str, words: List[str],
            values: List[str], extra: Dict[str, str], needs: List[str],
            outputs: List[str]) -> None:
        command = [python, f'{BASE}tools/{script}.py', config, *words,
                   '--work-dir', str(work / name)]  # yapf: disable
        stages.append(
            Stage(
                name,
                title,
                command + options(seed, *values), {
                    **env,
                    **extra
                },
                needs,
                config=config,
                folder=work / name,
                outputs=outputs,
                resume=script == 'train'))

    def add_weak(key: str) -> None:
        title, own = WEAK[key], [] if key == 'group' else list(PLAIN)
        add(f'{key}-train', f'stage 1, {title}: train on tags, write labels',
            'train', STAGE1, [], short1 + own, {}, ['toy-set'],
            ['last_checkpoint', 'pseudo_labels/manifest.json'])
        # class maps of validation images, for the contact sheet alone
        last = f'{{last:{work / (key + "-train")}}}'
        add(f'{key}-maps', f'stage 1, {title}: class maps for the sheet',
            'test', STAGE1, [last],
            own + ['default_hooks.pseudo_labels.keep_scores=True',
                   'test_dataloader.dataset.dataset.ann_file='
                   'ImageSets/val_cls.txt'], {}, [f'{key}-train'],
            ['pseudo_labels/manifest.json'])  # yapf: disable

    def add_stage_2(key: str, source: str) -> None:
        title = ('full masks (upper bound)'
                 if key == 'full' else f'labels of {WEAK[key]}')
        needs = [f'{key}-train'] if key in WEAK else ['toy-set']
        add(f'{key}-seg', f'stage 2, {title}: train DeepLabV3', 'train',
            STAGE2, [], short2, {'PSEUDO_DIR': source}, needs,
            ['last_checkpoint'])
        last = f'{{last:{work / (key + "-seg")}}}'
        out = str(work / f'{key}-test' / 'predictions')
        add(f'{key}-test', f'stage 2, {title}: test DeepLabV3', 'test', STAGE2,
            [last, '--out', out], [], {'PSEUDO_DIR': source}, [f'{key}-seg'],
            ['predictions'])

    for key in WEAK if args.compare else ('group', ):
        add_weak(key)
        add_stage_2(key, str(work / f'{key}-train' / 'pseudo_labels'))
    if args.compare:
        add_stage_2('full', str(data / 'SegmentationClass'))
    for stage in stages:
        stage.share = SHARES[stage.name]
    return stages


def test_metrics(folder: Path) -> Dict[str, float]:
    """Read what the test loop logged last in a work dir."""
    found = sorted(folder.glob('2*/2*.json'))
    if not found:
        raise InputError(f'{folder}: no metrics of a test; remove the folder '
                         'and start again')
    return json.loads(found[-1].read_text())


def git_commit() -> str:
    """Commit of the checkout, '' outside of git."""

    def ask(*words: str) -> str:
        try:
            return subprocess.run(['git', *words],
                                  cwd=ROOT,
                                  capture_output=True,
                                  text=True,
                                  check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ''

    commit = ask('rev-parse', 'HEAD')
    dirty = commit and ask('status', '--porcelain', '--untracked-files=no')
    return commit + ('+changes' if dirty else '')


def measure(args: argparse.Namespace, name: str) -> Dict[str, float]:
    """Give what a stage that is done tells, and print it.

    Args:
        args (Namespace): The command line.
        name (str): Of the stage.

    Returns:
        dict[str, float]: Figures by name; empty for most stages.
    """
    key, _, kind = name.partition('-')
    work = Path(args.work_dir)
    if kind == 'test':
        found = dict(segmentation_miou=test_metrics(work / name)['mIoU'])
    elif kind == 'train':
        from group_wsss.evaluation import evaluate_folder, read_id_list
        data = Path(args.data)
        cam = test_metrics(work / name)
        labels = evaluate_folder(
            str(work / name / 'pseudo_labels'),
            str(data / 'SegmentationClass'),
            CLASSES,
            ids=read_id_list(str(data / 'ImageSets' / 'train.txt')))
        found = dict(
            cam_miou=cam['cam/mIoU'],
            cam_best_miou=cam['cam/best_mIoU'],
            cam_best_threshold=cam['cam/best_threshold'],
            tag_map=cam['multi-label/mAP'],
            pseudo_label_miou=labels['mIoU'])
    else:
        return {}
    told = [
        f'{title} {found[column]:.1f}' for column, title in COLUMNS.items()
        if column in found
    ]
    print(f'      {ROWS[key]}, mIoU: {", ".join(told)}', flush=True)
    return found


def summarize(args: argparse.Namespace, records: Dict[str, dict],
              rows: Dict[str, Dict[str, float]]) -> dict:
    """All figures; also written to ``summary.json``."""
    from group_wsss.utils.files import atomic_write
    from group_wsss.utils.versions import software_versions
    summary: dict = dict(rows['group'])
    if args.compare:
        summary.update(
            baseline_k1=rows['k1'],
            segmentation_miou_full_masks=rows['full']['segmentation_miou'])
    summary.update(
        seconds={
            name: item['seconds']
            for name, item in records.items()
        },
        seconds_total=round(
            sum(item['seconds'] for item in records.values()), 1),
        interruptions=sum(item['interruptions'] for item in records.values()),
        seed=args.seed,
        smoke=args.smoke,
        cpus=os.cpu_count(),
        versions=software_versions(),
        git_commit=git_commit(),
        commands={
            name: item['command']
            for name, item in records.items()
        })
    text = json.dumps(summary, indent=2) + '\n'
    atomic_write(osp.join(args.work_dir, 'summary.json'), text.encode())
    return summary


def draw_sheet(args: argparse.Namespace, summary: dict) -> str:
    """Draw the first images of the validation list."""
    import io

    import numpy as np
    from PIL import Image

    from group_wsss.structures import ScoreMap, read_index_png
    from group_wsss.structures.palette import bright_palette
    from group_wsss.utils.files import atomic_write
    from group_wsss.visualization import (contact_sheet, paint_label,
                                          paint_scores)
    colours = bright_palette()
    work, data = Path(args.work_dir), Path(args.data)
    lines = (data / 'ImageSets' / 'val_cls.txt').read_text().splitlines()
    rows, captions = [], []
    for line in lines[:SHEET_ROWS]:
        name, *tags = line.split()
        with Image.open(data / 'JPEGImages' / f'{name}.jpg') as file:
            image = np.asarray(file.convert('RGB'))

        def label(*parts: str) -> np.ndarray:
            path = work.joinpath(*parts, f'{name}.png')
            return paint_label(read_index_png(str(path)), image, colours)

        maps = [
            paint_scores(
                ScoreMap.load(
                    str(work / f'{key}-maps' / 'pseudo_labels' / 'scores' /
                        f'{name}.npz')), image, colours)
            for key in (('k1', 'group') if args.compare else ('group', ))
        ]
        mask = read_index_png(str(data / 'SegmentationClass' / f'{name}.png'))
        rows.append([
            image, *maps,
            label('group-maps', 'pseudo_labels'),
            label('group-test', 'predictions'),
            paint_label(mask, image, colours)
        ])
        captions.append('tags: ' + ', '.join(CLASSES[int(i)] for i in tags))
    headings = [
        'Image\nvalidation set',
        f'Class map, groups\nmIoU {summary["cam_miou"]:.1f}',
        f'Pseudo label\nmIoU {summary["pseudo_label_miou"]:.1f}',
        f'DeepLabV3\nmIoU {summary["segmentation_miou"]:.1f}',
        'Mask\nfor evaluation only'
    ]
    if args.compare:
        plain = summary['baseline_k1']['cam_miou']
        headings.insert(1, f'Class map, K = 1\nmIoU {plain:.1f}')
    sheet = contact_sheet(
        rows,
        headings,
        captions,
        legend=[(name, colours[i + 1]) for i, name in enumerate(CLASSES)],
        title='From image tags to a segmentation network',
        note='The first images of the validation list. mIoU of class maps '
        'and pseudo labels: on the training images.')
    buffer = io.BytesIO()
    sheet.save(buffer, 'PNG', optimize=True)
    path = osp.join(args.work_dir, 'contact_sheet.png')
    atomic_write(path, buffer.getvalue())
    return path


def print_table(args: argparse.Namespace,
                rows: Dict[str, Dict[str, float]]) -> None:
    """The end of the road, for the terminal."""
    from group_wsss.evaluation import format_table
    table = [[ROWS[name], *(row.get(key, '') for key in COLUMNS)]
             for name, row in rows.items()]
    print(f'\n{format_table(("mIoU in percent", *COLUMNS.values()), table)}')
    print('class maps and pseudo labels: training images; segmentation: '
          'validation images')
    if not args.compare:
        print('--compare adds a plain classifier (K = 1) and full masks')
    if args.smoke:
        print('--smoke: the figures mean nothing')


def main() -> None:
    """Run what is not done yet, then report."""
    args = parse_args()
    if args.smoke and osp.normpath(args.data) == osp.normpath('data/toy'):
        args.data = osp.join(args.work_dir, 'toy')
    cli.prepare_work_dir(args.work_dir)
    start = time.perf_counter()
    stages = plan(args)
    rows: Dict[str, Dict[str, float]] = {}

    def done(name: str) -> None:
        found = measure(args, name)
        if found:
            rows.setdefault(name.partition('-')[0], {}).update(found)

    records = run_stages(stages, args.work_dir, done)
    summary = summarize(args, records, rows)
    sheet = draw_sheet(args, summary)
    print_table(args, rows)
    spent = summary['seconds_total'] / 60
    now = (time.perf_counter() - start) / 60
    print(f'\nsummary        {osp.join(args.work_dir, "summary.json")}\n'
          f'contact sheet  {sheet}\n'
          f'{spent:.1f} minutes in all stages, {now:.1f} of them now')


if __name__ == '__main__':
    if IN_CHECKOUT:
        os.chdir(ROOT)
    cli.heed_preemption()
    cli.run(
        main,
        again='type the same command again to go on; finished stages are '
        'skipped')
