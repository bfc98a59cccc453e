# Copyright (c) group_wsss contributors. All rights reserved.
"""One folder per class (as in ImageNet) to an image list.

An image with several classes lies in several folders, as link or copy.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.contrib.converters import add_arguments, read_folders, save
from group_wsss.evaluation import class_names
from group_wsss.utils.cli import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', help='folder with the class folders')
    add_arguments(parser)
    parser.add_argument(
        '--ids',
        choices=['name', 'path'],
        default='name',
        help='"path": the class folder belongs to the id, for sets that use '
        'a name twice (cat/001.jpg, dog/001.jpg)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    classes = class_names(args.classes) if args.classes else None
    print(save(read_folders(args.folder, classes, ids=args.ids), args))


if __name__ == '__main__':
    run(main)
