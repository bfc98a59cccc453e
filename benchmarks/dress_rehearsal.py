# Copyright (c) group_wsss contributors. All rights reserved.
"""The whole road at the sizes of VOC 2012 and COCO, with a tiny backbone.

Shipped configs with generated images: stage 1, token bank, labels, refinement
by colours with thresholds from all images, report, stage 2. Each training is
told to stop (SIGTERM) in its middle, the bank is killed in its middle; both
are resumed. COCO trains a part of an epoch, then four processes write its
labels. Once a second everything is looked at: processes with all their
children, open files, and the disk as often as its size allows. A dump that is
there is not made again, so that a benchmark that was ended goes on.
"""
import argparse
import filecmp
import json
import os
import os.path as osp
import re
import shutil
import signal
from typing import Any, Callable, Dict, Sequence

from rehearsal_data import TINY, TINY_STAGE2, write_coco, write_voc
from rehearsal_watch import Watch
from results import commit, threads, write

from group_wsss.utils import cli
from group_wsss.utils.files import read_json

STEP = re.compile(r'\(train\) *(?:\[\d+\])?\[ *(\d+)/(\d+)\]')
FOUR = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=4']
REFINE = [
    '--keep-scores', '--nproc', '4', '--cfg-options', 'refiners.0.downscale=8',
    'labeler.bg_threshold=otsu'
]
STAGE2 = ('configs/deeplabv3/'
          'deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py')


def trained(share: float) -> Callable[[str], int]:
    """Tell a training to stop when a share of it is done."""

    def stop(text: str) -> int:
        steps = STEP.findall(text)
        done, total = map(int, steps[-1]) if steps else (0, 1)
        return signal.SIGTERM if done >= share * total else 0

    return stop


def to_the_end(text: str) -> int:
    """Stop at nothing."""
    return 0


def half_bank(folder: str, images: int) -> Callable[[str], int]:
    """Kill a process in the middle of its token bank."""
    maps = osp.join(folder, 'token_bank/maps')

    def stop(text: str) -> int:
        half = osp.isdir(maps) and 2 * len(os.listdir(maps)) >= images
        return signal.SIGKILL if half else 0

    return stop


def make_dump(row: str, work: str, env: Dict[str, str],
              keep: Callable[..., None]) -> None:
    """Train stage 1 and write labels; ``keep`` takes the phases."""
    kind, images = row.split('-')[0], int(row.split('-')[1])
    first = Watch(osp.join(work, 'stage1'), env)
    end = [f'configs/group_wsss/{kind}.py', '--work-dir', first.folder]
    command = ['tools/train.py', *end, '--cfg-options', *TINY]
    if kind == 'coco':
        first.run_on(command, trained(.0125), trained(.025))
        keep(row, first, command)
        with open(osp.join(first.folder, 'last_checkpoint')) as file:
            end.insert(1, file.read().strip())
        command = [
            *FOUR, 'tools/test.py', *end, '--launcher', 'pytorch',
            '--cfg-options', *TINY, 'test_dataloader.num_workers=1'
        ]
        first = Watch(first.folder, env, 'labels')
        first.run_on(command)
        keep(row, first, command)
        return
    first.run_on(command, trained(.5), half_bank(first.folder, images),
                 to_the_end)
    more = {}
    if images <= 1000:
        plain = Watch(osp.join(work, 'undisturbed'), env)
        plain.run(
            [word.replace(first.folder, plain.folder) for word in command])
        folders = [
            osp.join(watch.folder, 'pseudo_labels') for watch in (first, plain)
        ]
        names = [n for n in os.listdir(folders[0]) if n.endswith('.png')]
        equal = filecmp.cmpfiles(*folders, names, shallow=False)[0]
        more['same_labels'] = len(equal) == images
    keep(row, first, command, **more)


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'list', help="VOC's list of train_aug: lines of an id and class ids")
    parser.add_argument(
        '--rows',
        nargs='+',
        default=['voc-1000', 'voc-10582', 'coco-10582', 'coco-82783'],
        help='layout and number of images; coco has stage 1 alone')
    parser.add_argument('--work-dir', default='work_dirs/dress_rehearsal')
    parser.add_argument(
        '--out',
        default='docs/benchmarks/dress_rehearsal.json',
        help='raw results, rows are replaced in it')
    return parser.parse_args()


def main() -> None:
    """Run what is asked for; images and work dirs are removed."""
    args = parse_args()
    out = osp.abspath(args.out)
    made_by = commit('benchmarks')

    def keep(row: str, watch: Watch, command: Sequence[str],
             **more: Any) -> None:
        """Add the phases of a stage."""
        stage, images = watch.name, int(row.split('-')[1])
        # another process may have added rows
        rows = read_json(out) if osp.isfile(out) else []
        rows = [r for r in rows if (r['row'], r['stage']) != (row, stage)]
        rows.append(
            dict(
                row=row,
                stage=stage,
                images=images,
                phases=watch.figures(),
                **more,
                command=' '.join(['python', *command]).replace(
                    osp.dirname(watch.folder), 'WORK'),
                threads=threads(),
                commit=made_by))
        write(out, rows)
        print(json.dumps(rows[-1]['phases'], indent=1), flush=True)

    for row in args.rows:
        kind, images = row.split('-')[0], int(row.split('-')[1])
        work = osp.join(osp.abspath(args.work_dir), row)
        data = f'{work}-data'
        if not osp.isdir(data) and kind == 'voc':
            write_voc(data, args.list, images)
        elif not osp.isdir(data):
            write_coco(data, images)
        env = dict(DATA_ROOT=data)
        dump = osp.join(work, 'stage1/pseudo_labels')
        if not osp.isfile(osp.join(dump, 'manifest.json')):
            make_dump(row, work, env, keep)
        if kind == 'voc':
            photos = osp.join(data, 'JPEGImages')
            refined, second = (
                osp.join(work, name) for name in ('refine', 'stage2'))
            again = dict(env, PSEUDO_DIR=refined)
            commands = dict(
                refine=[
                    'tools/refine_labels.py',
                    'configs/refine/pixel_adaptive.py', dump, refined,
                    '--images', photos, *REFINE
                ],
                report=[
                    'tools/report.py', refined, '--images', photos, '--out',
                    osp.join(work, 'report')
                ],
                stage2=[
                    'tools/train.py', STAGE2, '--work-dir', second,
                    '--cfg-options', f'train_cfg.max_iters={images // 16}',
                    'default_hooks.checkpoint.interval=2000', *TINY_STAGE2
                ])
            for name, command in commands.items():
                watch = Watch(osp.join(work, name), again)
                stops = [trained(.5)] if name == 'stage2' else []
                watch.run_on(command, *stops, to_the_end)
                keep(row, watch, command)
        shutil.rmtree(work)
        shutil.rmtree(data)


if __name__ == '__main__':
    cli.run(main)
