# Copyright (c) group_wsss contributors. All rights reserved.
"""Flags for the variables that the configs read their data from."""
import os
import os.path as osp
from argparse import ArgumentParser, Namespace
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Sequence

from .errors import InputError

# flag -> variable, help
FLAGS = {
    'data': ('DATA_ROOT', 'folder of the images'),
    'list': ('TRAIN_LIST', 'image list with the tags: a path, or relative to '
             'the folder of the images'),
    'labels': ('PSEUDO_DIR', 'pseudo labels that stage 2 learns'),
    'val-list': ('VAL_LIST', 'images to validate stage 2 on; likewise'),
    'masks': ('MASK_DIR', 'their masks, which the validation alone reads'),
}
# key of a data set -> flag, for training and for validation
_KEYS = {
    ('train', 'data_root'): 'data',
    ('train', 'ann_file'): 'list',
    ('train', 'data_prefix.seg_map_path'): 'labels',
    ('val', 'data_root'): 'data',
    ('val', 'ann_file'): 'val-list',
    ('val', 'data_prefix.seg_map_path'): 'masks',
}


def add_data_flags(parser: ArgumentParser, skip: Sequence[str] = ()) -> None:
    """Add a flag for each variable.

    Args:
        parser (ArgumentParser): Of a tool that reads configs.
        skip (Sequence[str]): Flags that it has no use for. Defaults to none.
    """
    group = parser.add_argument_group(
        'data', 'what our configs read; each stands for a variable')
    flags = [flag for flag in FLAGS if flag not in skip]
    for flag in flags:
        variable, text = FLAGS[flag]
        group.add_argument(
            f'--{flag}', metavar='PATH', help=f'{text} ({variable})')
    # other tools have a --list of their own
    parser.set_defaults(data_flags=flags)


def _given(args: Namespace) -> Dict[str, str]:
    """Flags of a command line that have a value."""
    values = {
        flag: getattr(args, flag.replace('-', '_'))
        for flag in getattr(args, 'data_flags', ())
    }
    return {flag: value for flag, value in values.items() if value is not None}


@contextmanager
def data_variables(args: Namespace) -> Iterator[None]:
    """Have the variables of the flags while a config is read.

    Args:
        args (Namespace): Of a parser with :func:`add_data_flags`, or
            of another one.

    Raises:
        InputError: A list is beside the images and in the current folder.
    """
    before, given = dict(os.environ), _given(args)
    root = given.get('data') or os.environ.get('DATA_ROOT', '')
    for flag, value in given.items():
        here, there = osp.abspath(value), osp.join(root, value)
        if flag in ('list', 'val-list', 'masks') and osp.exists(here):
            if osp.exists(there) and not osp.samefile(here, there):
                raise InputError(f'--{flag} {value}: is {here} and '
                                 f'{osp.abspath(there)}; give the whole path')
            value = here
        # one spelling; addresses have two slashes inside
        os.environ[FLAGS[flag][0]] = value.rstrip('/') or value
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def check_data_flags(args: Namespace, text: str) -> None:
    """Refuse a flag whose variable a config does not read.

    Args:
        args (Namespace): With ``config``.
        text (str): Of the config and its bases.

    Raises:
        InputError: The flag and the config.
    """
    for flag in _given(args):
        variable = FLAGS[flag][0]
        if variable not in text:
            raise InputError(f'--{flag}: {args.config} does not read '
                             f'{variable}')


def check_data(cfg: Any, loaders: Sequence[str]) -> None:
    """Name the first folder or list that the config wants and is not there.

    Args:
        cfg (mmengine.Config): The config.
        loaders (Sequence[str]): Names such as ``'train_dataloader'``.

    Raises:
        InputError: One line with the path and the config key.
    """
    for name in loaders:
        where, data = name, cfg.get(name)
        while isinstance(data, dict) and 'dataset' in data:
            where, data = f'{where}.dataset', data['dataset']
        if not isinstance(data, dict) or where == name:
            continue
        root, prefix = data.get('data_root'), data.get('data_prefix')
        prefix = prefix if isinstance(prefix, dict) else {'': prefix}
        wanted = {'data_root': root, 'ann_file': data.get('ann_file')}
        for key, path in prefix.items():
            # testing may do without masks, the pipeline knows
            if key != 'seg_map_path' or name == 'train_dataloader':
                wanted[f'data_prefix.{key}'.rstrip('.')] = path
        for key, path in wanted.items():
            if not isinstance(path, str) or not path:
                continue
            base = '' if key == 'data_root' else root or ''
            path = path if '://' in path else osp.join(base, path)
            if '://' not in path and not osp.exists(path):
                raise InputError(
                    f'{path}: no such file or folder ({where}.{key})' +
                    _hint(name, key,
                          getattr(cfg, 'text', None) or ''))


def _hint(loader: str, key: str, text: str) -> str:
    """Tell which flag gives what is missing; '' where no flag does."""
    what = 'train' if loader.startswith('train') else 'val'
    flag = _KEYS.get((what, key), '')
    if loader.startswith('test') and flag == 'val-list':
        # stage 1 labels what it was trained on
        flag = 'val-list' if 'VAL_LIST' in text else 'list'
    if not flag or FLAGS[flag][0] not in text:
        return ''
    return f'; give --{flag}, or set {FLAGS[flag][0]}'
