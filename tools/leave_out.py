# Copyright (c) group_wsss contributors. All rights reserved.
"""Leave images out of a list or of a dump."""
import argparse
import os.path as osp
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'projects'))

from group_wsss.utils import cli
from group_wsss.utils.progress import Progress


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Copy an image list, or a dump of labels, without some '
        'of its images: those that tools/report.py let you mark. Train on '
        'the copy.')
    parser.add_argument('source', help='an image list, or a dump')
    parser.add_argument(
        'ids', help='text file with an image id a line, as the report saves')
    parser.add_argument(
        '-o', '--out', required=True, help='new list (.json), or new folder')
    return parser.parse_args()


def main() -> None:
    """Write the copy."""
    args = parse_args()
    from group_wsss.contrib.correction import (leave_out_of_dump,
                                               leave_out_of_list)
    if osp.isdir(args.source):
        kept = leave_out_of_dump(args.source, args.ids, args.out,
                                 Progress('images'))
    else:
        kept = leave_out_of_list(args.source, args.ids, args.out)
    print(f'{args.out}: {kept} images')


if __name__ == '__main__':
    cli.run(main, again='type the same command again to start anew')
