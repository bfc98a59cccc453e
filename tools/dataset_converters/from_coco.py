# Copyright (c) group_wsss contributors. All rights reserved.
"""A COCO instances JSON to an image list: its categories are the tags."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.contrib.converters import (add_arguments, read_coco_instances,
                                           save)
from group_wsss.evaluation import class_names
from group_wsss.utils.cli import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('json', help='instances_*.json')
    add_arguments(parser)
    parser.add_argument(
        '--skip-crowd',
        action='store_true',
        help='leave out annotations with iscrowd=1')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    classes = class_names(args.classes) if args.classes else None
    print(save(read_coco_instances(args.json, classes, args.skip_crowd), args))


if __name__ == '__main__':
    run(main)
