# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp

from mmengine.config import Config

from .errors import InputError, one_line


def read_config(path: str) -> Config:
    """Read a config file.

    Args:
        path (str): The file.

    Returns:
        Config: What it says.

    Raises:
        InputError: No such file, or it is not a config.
    """
    if not osp.isfile(path):
        raise InputError(f'{path}: no such config file')
    try:
        return Config.fromfile(path)
    except (OSError, SyntaxError) as error:
        raise InputError(f'{path}: {one_line(error)}') from error
