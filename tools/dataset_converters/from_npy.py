# Copyright (c) group_wsss contributors. All rights reserved.
"""cls_labels.npy of WSSS repositories to an image list.

Such a file is a pickle; nothing in it is executed.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.contrib.converters import add_arguments, read_cls_labels, save
from group_wsss.evaluation import class_names
from group_wsss.utils.cli import run
from group_wsss.utils.errors import InputError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('npy', help='dict of ids and vectors of 0 and 1')
    add_arguments(parser)
    parser.add_argument(
        '--int-ids',
        choices=['plain', 'voc', 'coco'],
        help='how ids look that are whole numbers in the file')
    parser.add_argument('--suffix', default='.jpg', help='of images')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not args.classes:
        raise InputError(f'{args.npy}: holds no class names, give --classes')
    content = read_cls_labels(args.npy, class_names(args.classes),
                              args.int_ids, args.suffix)
    print(save(content, args))


if __name__ == '__main__':
    run(main)
