# Copyright (c) group_wsss contributors. All rights reserved.
"""A Label Studio export (JSON or JSON-MIN) to an image list."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.contrib.converters import (add_arguments, read_label_studio,
                                           save)
from group_wsss.evaluation import class_names
from group_wsss.utils.cli import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('json', help='the export')
    add_arguments(parser)
    parser.add_argument(
        '--image-key', default='image', help="in the task's data")
    parser.add_argument(
        '--choice-key',
        metavar='NAME',
        help='the one control whose choices are tags (from_name); default: '
        'all, and in a JSON-MIN single choices under "choice" or where the '
        'key has lists of choices too')
    parser.add_argument(
        '--regions',
        action='store_true',
        help='labels of boxes and other regions are tags as well')
    parser.add_argument(
        '--strip-upload',
        action='store_true',
        help='take 8 hex digits and "-" off the names of uploaded files')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    classes = class_names(args.classes) if args.classes else None
    content = read_label_studio(args.json, classes, args.image_key,
                                args.choice_key, args.regions,
                                args.strip_upload)
    print(save(content, args))


if __name__ == '__main__':
    run(main)
