# Copyright (c) group_wsss contributors. All rights reserved.
"""A report that explains a dump of labels."""
import argparse
import os
import os.path as osp
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.progress import Progress

# all that a run may write: what it does not write again is out of date
FILES = ('analysis.json', 'per_class.csv', 'images.csv', 'curve.csv',
         'confusions.csv', 'curve.png', 'scores.png', 'per_class.png',
         'confusions.png')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Explain a folder of label PNGs: what is in it and, '
        'where masks are given, what is missed, what leaks and which classes '
        'are taken for each other. Masks serve evaluation alone.')
    parser.add_argument('dump', help='folder of label PNGs')
    parser.add_argument('--masks', help='folder of mask PNGs of these names')
    parser.add_argument(
        '--out',
        help='folder of the JSON, CSV and PNG files (default: DUMP_analysis, '
        'beside DUMP)')
    parser.add_argument(
        '--list',
        help='image list (.txt, .csv, .json) of the images to look at; its '
        'class ids are the tags (default: ids.txt of DUMP, else all PNGs; '
        'the tags are the classes of the scores)')
    parser.add_argument(
        '--classes',
        help='"voc", a file with one class name a line, or the number of '
        'classes without background (default: those of manifest.json, '
        'without one "voc")')
    scores = parser.add_mutually_exclusive_group()
    scores.add_argument(
        '--scores', help='folder of score maps (default: DUMP/scores)')
    scores.add_argument(
        '--no-scores', action='store_true', help='look at no score maps')
    parser.add_argument(
        '--jobs', type=int, default=1, help='processes (default: 1)')
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error('--jobs must be positive')
    return args


def output_folder(args: argparse.Namespace) -> str:
    """Choose where the files go: never among labels or masks.

    A plot is a PNG, and every PNG below a dump is taken for a label.
    """
    if args.out is None:
        return osp.abspath(args.dump) + '_analysis'
    out = Path(args.out).resolve()
    for folder in (args.dump, args.masks):
        if folder is not None:
            inside = Path(folder).resolve()
            if out == inside or inside in out.parents:
                raise InputError(f'--out {args.out}: lies in {folder}, where '
                                 'its plots would be taken for labels')
    return args.out


def main() -> None:
    """Analyse, write, print."""
    args = parse_args()
    from group_wsss.contrib.analysis import (analyze_dump, describe,
                                             report_files, report_plots)
    from group_wsss.evaluation import open_dump
    from group_wsss.utils.files import atomic_write
    out = output_folder(args)
    dump = open_dump(args.dump, args.classes, args.list, args.scores,
                     not args.no_scores)
    cli.prepare_work_dir(out)
    report = analyze_dump(dump, args.masks, args.jobs, Progress())
    files = {**report_files(report), **report_plots(report)}
    for name in FILES:
        path = osp.join(out, name)
        if name in files:
            atomic_write(path, files[name])
        elif osp.exists(path):
            os.remove(path)
    print(describe(report))
    print(f'\nfiles: {out}')


if __name__ == '__main__':
    cli.run(main)
