# Copyright (c) group_wsss contributors. All rights reserved.
"""A folder of VOC annotations to an image list: object names are the tags."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.contrib.converters import add_arguments, read_voc_folder, save
from group_wsss.evaluation import class_names
from group_wsss.utils.cli import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', help='folder of *.xml')
    add_arguments(parser)
    parser.add_argument('--ignore-difficult', action='store_true')
    parser.add_argument(
        '--suffix', default='.jpg', help='where an XML names no file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    classes = class_names(args.classes) if args.classes else None
    content = read_voc_folder(args.folder, classes, args.ignore_difficult,
                              args.suffix)
    print(save(content, args))


if __name__ == '__main__':
    run(main)
