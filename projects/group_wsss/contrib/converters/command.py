# Copyright (c) group_wsss contributors. All rights reserved.
"""Common part of ``tools/dataset_converters/from_*.py``."""
import argparse

from ...structures.image_files import find_files
from ...structures.image_list import ImageList, write_image_list
from .advice import advise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that all converters have.

    Args:
        parser (ArgumentParser): Of the tool.
    """
    parser.add_argument(
        '-o', '--out', required=True, help='list to write, *.json')
    parser.add_argument(
        '--images',
        metavar='DIR',
        help='look the images up here; paths in the list are relative '
        'to it')
    parser.add_argument(
        '--classes',
        metavar='NAMES',
        help='class names in the order of their ids: a text file with one a '
        'line, or "voc"; default: the tags that occur, sorted')


def save(content: ImageList, args: argparse.Namespace) -> str:
    """Write the list.

    Args:
        content (ImageList): What a reader gave.
        args (Namespace): With ``out`` and ``images``.

    Returns:
        str: Lines that say what was written, see :func:`advise`.

    Raises:
        InputError: An image is not there, or the list cannot be
            written.
    """
    if args.images is not None:
        records = find_files(content.records, args.images, True)
        content = content._replace(records=records)
    write_image_list(args.out, content.records, content.classes)
    bare = sum(not record.labels for record in content.records)
    note = f', {bare} of them without a tag' if bare else ''
    return '\n'.join(
        (f'{args.out}: {len(content.records)} images{note}, '
         f'{len(content.classes or ())} classes', *advise(content)))
