# Copyright (c) group_wsss contributors. All rights reserved.
"""Where tools put what they find."""
import os
import os.path as osp
from pathlib import Path
from typing import Any, Dict, Iterable, Optional

from .errors import InputError
from .files import atomic_write, read_json, write_json


def check_outside(out: str, *folders: Optional[str]) -> None:
    """Refuse results among labels, masks or images.

    What is written there, such as a plot, would be taken for one of them.

    Args:
        out (str): Place of the results.
        *folders (str, optional): Those that hold such files.

    Raises:
        InputError: It is one of them, or inside.
    """
    place = Path(out).resolve()
    for folder in filter(None, folders):
        if Path(folder).resolve() in (place, *place.parents):
            raise InputError(f'{out}: lies in {folder}, where what is written '
                             'would be taken for labels')


def replace_files(folder: str, names: Iterable[str],
                  contents: Dict[str, bytes]) -> None:
    """Write the files of a run, and remove those of an earlier one.

    Args:
        folder (str): The folder.
        names (Iterable[str]): All that a run may write.
        contents (dict[str, bytes]): What this one writes, by name.
    """
    for name in names:
        path = osp.join(folder, name)
        if name in contents:
            atomic_write(path, contents[name])
        elif osp.exists(path):
            os.remove(path)


def keep_settings(folder: str, name: str, settings: Any, what: str) -> None:
    """Write down what the files of a folder are made with, once.

    Args:
        folder (str): Created if it is missing.
        name (str): File in it that holds the settings as JSON.
        settings (Any): What JSON can hold.
        what (str): Name of the files, for the message.

    Raises:
        InputError: The folder holds something else, or files that were made
            with other settings.
    """
    path = osp.join(folder, name)
    try:
        found = read_json(path)
    except FileNotFoundError:
        if osp.isdir(folder) and os.listdir(folder):
            raise InputError(f'{folder}: not empty, and no folder of {what} '
                             f'({name}): give another --out') from None
        write_json(path, settings)
    else:
        if found != settings:
            raise InputError(f'{path}: these {what} were made with {found}, '
                             f'not with {settings}: give another --out')
