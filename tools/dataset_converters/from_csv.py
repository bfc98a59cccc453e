# Copyright (c) group_wsss contributors. All rights reserved.
"""A table (.csv, .tsv) with a column of ids and one of tags to an image list.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'projects'))

from group_wsss.contrib.converters import add_arguments, read_table, save
from group_wsss.evaluation import class_names
from group_wsss.utils.cli import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('table', help='.csv or .tsv with a header')
    add_arguments(parser)
    parser.add_argument(
        '--id-column', default='id', help='header of ids or file names')
    parser.add_argument('--tags-column', default='tags')
    parser.add_argument(
        '--path-column', default='path', help='need not be in the table')
    parser.add_argument(
        '--delimiter', help='between columns; default: by suffix and header')
    parser.add_argument(
        '--separator',
        choices=[';', ',', ' ', '|'],
        help="between tags; default: ';', or ',' where ';' parts columns")
    parser.add_argument(
        '--merge', action='store_true', help='one tag a row, ids repeat')
    parser.add_argument(
        '--suffix', default='.jpg', help='of images without a path')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    classes = class_names(args.classes) if args.classes else None
    content = read_table(args.table, classes, args.id_column, args.tags_column,
                         args.path_column, args.delimiter, args.separator,
                         args.merge, args.suffix)
    print(save(content, args))


if __name__ == '__main__':
    run(main)
