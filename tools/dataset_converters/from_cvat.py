# Copyright (c) group_wsss contributors. All rights reserved.
"""An export "CVAT for images 1.1" to an image list."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.contrib.converters import add_arguments, read_cvat, save
from group_wsss.evaluation import class_names
from group_wsss.utils.cli import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('xml', help='annotations.xml')
    add_arguments(parser)
    parser.add_argument(
        '--shapes',
        action='store_true',
        help='labels of boxes and other shapes are tags as well')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    classes = class_names(args.classes) if args.classes else None
    print(save(read_cvat(args.xml, classes, args.shapes), args))


if __name__ == '__main__':
    run(main)
