# Copyright (c) group_wsss contributors. All rights reserved.
"""The whole road on the toy set; called by tools/quickstart.sh."""
import argparse
import json
import os
import os.path as osp
import sys
import time
from pathlib import Path
from typing import Dict, List, Sequence

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'projects'))
sys.path.insert(0, str(ROOT / 'tools' / 'misc'))

from quickstart_sheet import draw_sheet
from stage_facts import commit_of
from stages import Stage, run_stages

from group_wsss.utils import cli
from group_wsss.utils.errors import InputError

# a checkout is the place to run in, an installed package is not
IN_CHECKOUT = (ROOT / 'projects').is_dir()
BASE = '' if IN_CHECKOUT else f'{ROOT}/'
STAGE1 = f'{BASE}configs/group_wsss/toy.py'
STAGE2 = f'{BASE}configs/deeplabv3/deeplabv3_tiny_toy.py'
CLASSES = ('ring', 'cross', 'wedge', 'checker', 'dots', 'bars')
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


def plan(args: argparse.Namespace) -> List[Stage]:
    """All stages in their order."""
    work, data = Path(args.work_dir), Path(args.data)
    toy = ['tools/dataset_converters/toy.py', '-o', args.data]
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
    toy[0] = BASE + toy[0]
    stages = [
        Stage('toy-set', 'generate the toy set', [sys.executable, *toy], {},
              [], share=SHARES['toy-set'])
    ]  # yapf: disable

    def add(name: str,
            title: str,
            config: str,
            needs: str,
            outputs: List[str],
            options: Sequence[str] = (),
            words: Sequence[str] = (),
            **env: str) -> None:
        """A training or, of a checkpoint, a test."""
        trains = 'last_checkpoint' in outputs
        command = [
            sys.executable, f'{BASE}tools/{"train" if trains else "test"}.py',
            config, *words, '--work-dir',
            str(work / name), '--cfg-options', f'randomness.seed={args.seed}',
            *options
        ]
        stages.append(
            Stage(
                name,
                title,
                command,
                dict(TOY_ROOT=str(data), **env), [needs],
                config=config,
                folder=work / name,
                outputs=outputs,
                resume=trains,
                share=SHARES[name]))

    def last(name: str) -> str:
        return f'{{last:{work / name}}}'

    def add_stage_2(key: str, title: str, needs: str, labels: Path) -> None:
        add(f'{key}-seg',
            f'stage 2, {title}: train DeepLabV3',
            STAGE2,
            needs, ['last_checkpoint'],
            short2,
            PSEUDO_DIR=str(labels))
        out = str(work / f'{key}-test' / 'predictions')
        add(f'{key}-test',
            f'stage 2, {title}: test DeepLabV3',
            STAGE2,
            f'{key}-seg', ['predictions'],
            words=[last(f'{key}-seg'), '--out', out],
            PSEUDO_DIR=str(labels))

    for key in WEAK if args.compare else ('group', ):
        title, train = WEAK[key], f'{key}-train'
        # K = 1 is the plain classifier; the same config otherwise
        own = [] if key == 'group' else ['group_size=1']
        add(train, f'stage 1, {title}: train on tags, write labels', STAGE1,
            'toy-set', ['last_checkpoint', 'pseudo_labels/manifest.json'],
            short1 + own)
        # class maps of validation images, for the contact sheet alone
        add(f'{key}-maps', f'stage 1, {title}: class maps for the sheet',
            STAGE1, train, ['pseudo_labels/manifest.json'], [
                *own, 'default_hooks.pseudo_labels.keep_scores=True',
                'test_dataloader.dataset.dataset.ann_file='
                'ImageSets/val_cls.txt'
            ], [last(train)])
        add_stage_2(key, f'labels of {title}', train,
                    work / train / 'pseudo_labels')
    if args.compare:
        add_stage_2('full', ROWS['full'], 'toy-set',
                    data / 'SegmentationClass')
    return stages


def test_metrics(folder: Path) -> Dict[str, float]:
    """Read what the test loop logged last in a work dir."""
    found = sorted(folder.glob('2*/2*.json'))
    if not found:
        raise InputError(f'{folder}: no metrics of a test; remove the folder '
                         'and start again')
    return json.loads(found[-1].read_text())


def measure(args: argparse.Namespace, name: str) -> Dict[str, float]:
    """Figures of a stage that is done, also printed; none for most."""
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
    from group_wsss.utils.files import write_json
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
        git_commit=commit_of(ROOT),
        commands={
            name: item['command']
            for name, item in records.items()
        })
    write_json(osp.join(args.work_dir, 'summary.json'), summary, indent=2)
    return summary


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
    sheet = draw_sheet(args.work_dir, args.data, CLASSES, summary)
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
