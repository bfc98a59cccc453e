# Copyright (c) group_wsss contributors. All rights reserved.
"""Image ids of folders and of plain lists."""
import os
import os.path as osp
import re
from typing import Dict, Iterable, List, Sequence, Set

from ..utils.errors import InputError
from ..utils.files import check_image_id, output_path
from .manifest import ID_LIST, MANIFEST
from .text_files import read_text


def find_ids(folder: str, suffix: str = '.png') -> List[str]:
    """Find the image ids of a foreign folder, which has no manifest.

    Hidden folders, such as that of an unfinished dump, and files that some
    systems put beside others (``._name``) are left out.

    Args:
        folder (str): Searched with its subfolders.
        suffix (str): Ending of the files. Defaults to ``'.png'``.

    Returns:
        list[str]: Sorted ids, ``/`` between folders.

    Raises:
        InputError: No such folder, or a link without a target.
    """
    if not osp.isdir(folder):
        raise InputError(f'{folder}: no such folder')
    ids, todo = [], ['']
    while todo:
        where = todo.pop()
        with os.scandir(osp.join(folder, where)) as entries:
            for entry in entries:
                name = f'{where}{entry.name}'
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith('.'):
                        todo.append(f'{name}/')
                elif name.endswith(suffix) and not (entry.name.startswith('._')
                                                    or entry.is_dir()):
                    if not entry.is_file():
                        raise InputError(f'{entry.path}: no file, or a link '
                                         'without a target')
                    ids.append(name[:-len(suffix)])
    return sorted(ids)


def require_files(ids: Sequence[str], folder: str, suffix: str,
                  what: str) -> None:
    """Check that all images have a file in ``folder``.

    Args:
        ids (Sequence[str]): Image ids.
        folder (str): Where to look.
        suffix (str): Ending of the files.
        what (str): Name of such a file, for the message.

    Raises:
        InputError: How many are missing, and the first three.
    """
    if not osp.isdir(folder):
        raise InputError(f'{folder}: no such folder')
    missing = [
        img_id for img_id in ids
        if not osp.isfile(output_path(folder, img_id, suffix))
    ]
    if missing:
        names = ', '.join(missing[:3]) + (', ...' if len(missing) > 3 else '')
        raise InputError(f'{folder}: {len(missing)} of {len(ids)} images '
                         f'have no {what}: {names}')


def missing_files(paths: Iterable[str]) -> List[int]:
    """Find the files that are not there, by one listing per folder.

    Args:
        paths (Iterable[str]): Files; those of a remote store (``://``) are
            taken to be there.

    Returns:
        list[int]: Positions in ``paths``.

    Raises:
        InputError: A folder cannot be listed.
    """
    listed: Dict[str, Set[str]] = {}
    missing = []
    for place, path in enumerate(paths):
        if '://' in path:
            continue
        folder, name = osp.split(path)
        if folder not in listed:
            try:
                listed[folder] = set(os.listdir(folder or '.'))
            except (FileNotFoundError, NotADirectoryError):
                listed[folder] = set()
            except OSError as error:
                raise InputError(f'{folder}: cannot be listed: '
                                 f'{error.strerror or error}') from None
        if name not in listed[folder]:
            missing.append(place)
    return missing


def is_dump_list(path: str) -> bool:
    """Tell whether a file is the ``ids.txt`` of a dump.

    Args:
        path (str): A file; a manifest beside it makes the difference.
    """
    folder, name = osp.split(path)
    return name == ID_LIST and osp.isfile(osp.join(folder, MANIFEST))


def read_id_list(path: str, whole_lines: bool = False) -> List[str]:
    """Read image ids: the first word of each line.

    Args:
        path (str): Text file; class ids may follow the image id.
        whole_lines (bool): Nothing follows, and ids may hold spaces, as
            always in the ``ids.txt`` of a dump. Defaults to False.

    Returns:
        list[str]: Ids in the order of the file.

    Raises:
        InputError: Empty list, a repeated or impossible id; the line is
            named.
    """
    lines: Dict[str, int] = {}
    whole_lines = whole_lines or is_dump_list(path)
    for number, line in enumerate(re.split('\r?\n', read_text(path)), 1):
        words = [line] if whole_lines and line.strip() else line.split()
        if not words:
            continue
        try:
            check_image_id(words[0])
        except InputError as error:
            raise InputError(f'{path}:{number}: {error}') from None
        if words[0] in lines:
            raise InputError(f'{path}:{number}: image id {words[0]!r} is '
                             f'already on line {lines[words[0]]}')
        lines[words[0]] = number
    if not lines:
        raise InputError(f'{path}: the list is empty')
    return list(lines)
