# Copyright (c) group_wsss contributors. All rights reserved.
"""A dump of labels as a page to look at."""
import argparse
import os.path as osp
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.arguments import add_dump, positive
from group_wsss.utils.progress import Progress
from group_wsss.utils.quiet import quieten


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write a folder of HTML that shows labels beside their '
        'images and class maps. It needs no network and no server; '
        'docs/report.md describes it. Masks serve evaluation alone.')
    add_dump(
        parser, 'folder of the page; new, or an earlier report, which is '
        'replaced (default: DUMP_report, beside DUMP)')
    parser.add_argument('--images', help='folder of the images')
    parser.add_argument(
        '--suffix',
        help='their ending, where neither the dump nor --list names them '
        '(default: each is looked up by its id)')
    parser.add_argument(
        '--steps',
        nargs='+',
        default=[],
        metavar='[NAME=]FOLDER',
        help='dumps of earlier steps, such as the labels before refinement, '
        'in their order')
    parser.add_argument(
        '--max-images',
        type=positive,
        metavar='N',
        help='show N images, evenly spread over the names (default: '
        'all); figures are of all')
    parser.add_argument(
        '--side',
        type=int,
        default=512,
        help='longer side of an image in pixels, 64 to 2048 (default: 512)')
    args = parser.parse_args()
    if not 64 <= args.side <= 2048:
        parser.error('--side must be from 64 to 2048')
    return args


def main() -> None:
    """Write the page."""
    args = parse_args()
    quieten()
    from group_wsss.contrib.report import PageSource, open_steps, write_report
    from group_wsss.evaluation import open_dump
    from group_wsss.utils.results import check_outside
    if args.out is not None:
        check_outside(args.out, args.dump, args.images, args.masks,
                      args.scores,
                      *(spec.split('=', 1)[-1] for spec in args.steps))
    out = args.out or osp.abspath(args.dump) + '_report'
    dump = open_dump(args.dump, args.classes, args.list, args.scores,
                     not args.no_scores)
    source = PageSource(dump, open_steps(args.steps, dump), args.images,
                        args.suffix, args.masks, args.side)
    done = write_report(source, out, args.jobs, args.max_images, Progress())
    print(f'{done["images"]} images; open in a browser: '
          f'{osp.join(out, "index.html")}')


if __name__ == '__main__':
    cli.run(main, again='type the same command again to start anew')
