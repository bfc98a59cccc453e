# Copyright (c) group_wsss contributors. All rights reserved.
"""A report that explains a dump of labels."""
import argparse
import os.path as osp
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_dump
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
    add_dump(
        parser, 'folder of the JSON, CSV and PNG files (default: '
        'DUMP_analysis, beside DUMP)')
    return parser.parse_args()


def main() -> None:
    """Analyse, write, print."""
    args = parse_args()
    from group_wsss.contrib.analysis import (analyze_dump, describe,
                                             report_files, report_plots)
    from group_wsss.evaluation import open_dump
    from group_wsss.utils.results import check_outside, replace_files
    if args.out is not None:
        check_outside(args.out, args.dump, args.masks)
    out = args.out or osp.abspath(args.dump) + '_analysis'
    dump = open_dump(args.dump, args.classes, args.list, args.scores,
                     not args.no_scores)
    cli.prepare_work_dir(out)
    report = analyze_dump(dump, args.masks, args.jobs, Progress())
    replace_files(out, FILES, {**report_files(report), **report_plots(report)})
    print(describe(report))
    print(f'\nfiles: {out}')


if __name__ == '__main__':
    cli.run(main)
