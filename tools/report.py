# Copyright (c) group_wsss contributors. All rights reserved.
"""A dump of labels as a page to look at."""
import argparse
import os.path as osp
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.errors import InputError
from group_wsss.utils.progress import Progress
from group_wsss.utils.quiet import quieten


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write a folder of HTML that shows labels beside their '
        'images and class maps. It needs no network and no server; '
        'docs/report.md describes it. Masks serve evaluation alone.')
    parser.add_argument('dump', help='folder of label PNGs')
    parser.add_argument(
        '--out',
        help='folder of the page; new, or an earlier report, which is '
        'replaced (default: DUMP_report, beside DUMP)')
    parser.add_argument('--images', help='folder of the images')
    parser.add_argument(
        '--suffix',
        help='their ending, where neither the dump nor --list names them '
        '(default: each is looked up by its id)')
    parser.add_argument('--masks', help='folder of mask PNGs of these names')
    parser.add_argument(
        '--steps',
        nargs='+',
        default=[],
        metavar='[NAME=]FOLDER',
        help='dumps of earlier steps, such as the labels before refinement, '
        'in their order')
    parser.add_argument(
        '--list',
        help='image list (.txt, .csv, .json) of the images to show; its '
        'paths are those below --images, its class ids are the tags '
        '(default: ids.txt of DUMP, else all PNGs; the tags are the classes '
        'of the scores)')
    parser.add_argument(
        '--classes',
        help='"voc", a file with one class name a line, or the number of '
        'classes without background (default: those of manifest.json, '
        'without one "voc")')
    scores = parser.add_mutually_exclusive_group()
    scores.add_argument(
        '--scores', help='folder of score maps (default: DUMP/scores)')
    scores.add_argument(
        '--no-scores', action='store_true', help='show no score maps')
    parser.add_argument(
        '--max-images',
        type=int,
        metavar='N',
        help='show N images, evenly spread over the names (default: '
        'all); figures are of all')
    parser.add_argument(
        '--side',
        type=int,
        default=512,
        help='longer side of an image in pixels, 64 to 2048 (default: 512)')
    parser.add_argument(
        '--jobs', type=int, default=1, help='processes (default: 1)')
    args = parser.parse_args()
    if args.jobs < 1 or (args.max_images is not None and args.max_images < 1):
        parser.error('--jobs and --max-images must be positive')
    if not 64 <= args.side <= 2048:
        parser.error('--side must be from 64 to 2048')
    return args


def output_folder(args: argparse.Namespace) -> str:
    """Choose where the page goes: never among labels, masks or images.

    It holds PNGs and JPEGs, which would be taken for those.
    """
    if args.out is None:
        return osp.abspath(args.dump) + '_report'
    out = Path(args.out).resolve()
    folders = [args.dump, args.images, args.masks, args.scores]
    folders += [spec.split('=', 1)[-1] for spec in args.steps]
    for folder in folders:
        if folder is not None:
            inside = Path(folder).resolve()
            if out == inside or inside in out.parents:
                raise InputError(f'--out {args.out}: lies in {folder}, where '
                                 'its images would be taken for labels')
    return args.out


def main() -> None:
    """Write the page."""
    args = parse_args()
    quieten()
    from group_wsss.contrib.report import PageSource, open_steps, write_report
    from group_wsss.evaluation import open_dump
    out = output_folder(args)
    dump = open_dump(args.dump, args.classes, args.list, args.scores,
                     not args.no_scores)
    source = PageSource(dump, open_steps(args.steps, dump), args.images,
                        args.suffix, args.masks, args.side)
    done = write_report(source, out, args.jobs, args.max_images, Progress())
    print(f'{done["images"]} images; open in a browser: '
          f'{osp.join(out, "index.html")}')


if __name__ == '__main__':
    cli.run(main, again='type the same command again to start anew')
