# Copyright (c) group_wsss contributors. All rights reserved.
"""Arguments that several command lines in ``tools/`` have."""
from argparse import ArgumentParser, ArgumentTypeError

from .data_flags import add_data_flags


def positive(text: str) -> int:
    """A whole number from 1 on, as ``type`` of an argument."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError('must be positive')
    return number


def add_processes(parser: ArgumentParser, flag: str = '--nproc') -> None:
    """Add ``--nproc``, or ``--jobs`` as others call it."""
    parser.add_argument(
        flag, type=positive, default=1, help='processes (default: 1)')


def add_classes(parser: ArgumentParser, default: str) -> None:
    """Add ``--classes``; ``default`` tells where names come from without."""
    parser.add_argument(
        '--classes',
        help='"voc", a file with one class name a line, or the number of '
        f'classes without background (default: {default})')


def add_dump(parser: ArgumentParser, out: str) -> None:
    """Add a dump with all that belongs to it; ``out`` tells of ``--out``."""
    parser.add_argument('dump', help='folder of label PNGs')
    parser.add_argument('--out', help=out)
    parser.add_argument('--masks', help='folder of mask PNGs of these names')
    parser.add_argument(
        '--list',
        help='image list (.txt, .csv, .json) of the images to look at; its '
        'paths name their files, its class ids are the tags (default: ids.txt '
        'of DUMP, else all PNGs; the tags are the classes of the scores)')
    add_classes(parser, 'those of manifest.json, without one "voc"')
    scores = parser.add_mutually_exclusive_group()
    scores.add_argument(
        '--scores', help='folder of score maps (default: DUMP/scores)')
    scores.add_argument(
        '--no-scores', action='store_true', help='look at no score maps')
    add_processes(parser, '--jobs')


def add_images(parser: ArgumentParser, out: str) -> None:
    """Add images to go through; ``out`` tells what ``--out`` is."""
    parser.add_argument(
        'images', help='folder of images; subfolders belong to the ids')
    parser.add_argument('--out', required=True, help=out)
    parser.add_argument(
        '--image-list',
        help='only the images of this list, as in stage 1; its paths are '
        'relative to IMAGES')
    parser.add_argument(
        '--suffix',
        default='.jpg',
        help='of images whose file the list does not name (default: .jpg)')


def add_config_options(parser: ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    from mmengine.config import DictAction
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, for example '
        'model.decode_head.num_classes=7; lists as key="[a,b]" or key=a,b')


def add_common_arguments(parser: ArgumentParser) -> None:
    """Add the arguments that train and test have in common."""
    parser.add_argument('--work-dir', help='where logs and results go')
    add_data_flags(parser)
    add_config_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    # the launcher of torch >= 2.0 spells it with a hyphen
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
