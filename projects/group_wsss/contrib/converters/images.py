# Copyright (c) group_wsss contributors. All rights reserved.
"""Images in a folder and all folders below it."""
import filecmp
import os
import os.path as osp
from typing import Dict, FrozenSet, List, Sequence, Tuple

from ...structures.image_list import IMAGE_SUFFIXES, ImageList, id_of_file
from ...utils.errors import InputError
from ...utils.files import why_unsafe


def walk_files(folder: str,
               suffixes: Sequence[str] = IMAGE_SUFFIXES) -> List[str]:
    """Files with one of the suffixes, in all folders below ``folder`` too.

    Links to files and folders are followed. What begins with a dot is left
    out, and so is any other kind of file.

    Args:
        folder (str): Where to look.
        suffixes (Sequence[str]): In lower case; the files' may be in any.
            Defaults to those of images.

    Returns:
        list[str]: Paths relative to ``folder`` with ``/``, sorted.

    Raises:
        InputError: No such folder, one that cannot be listed, a link without
            a target or to a folder around it, a name that cannot be used.
    """
    found: List[str] = []
    todo: List[Tuple[str, FrozenSet[Tuple[int, int]]]] = [('', frozenset())]
    while todo:
        prefix, parents = todo.pop()
        path = osp.join(folder, prefix) if prefix else folder
        try:
            status = os.stat(path)
            entries = list(os.scandir(path))
        except OSError as error:
            raise InputError(f'{_shown(path)}: cannot be listed: '
                             f'{error.strerror or error}') from None
        key = (status.st_dev, status.st_ino)
        if key in parents:
            raise InputError(f'{_shown(path)}: a link to a folder around it')
        for entry in entries:
            name = f'{prefix}{entry.name}'
            if entry.name.startswith('.'):
                continue
            if _is(entry.is_dir):
                todo.append((f'{name}/', parents | {key}))
            elif osp.splitext(name)[1].lower() in suffixes:
                reason = why_unsafe(name)
                if reason:
                    raise InputError(f'{_shown(folder)}: the name '
                                     f'{name[:80]!r} {reason}')
                if not _is(entry.is_file):
                    raise InputError(f'{_shown(entry.path)}: no file, or a '
                                     'link without a target')
                found.append(name)
    return sorted(found)


def _is(question) -> bool:
    """Ask a directory entry; False for a link in a circle."""
    try:
        return question()
    except OSError:
        return False


def _shown(path: str) -> str:
    """A path in a message of one line."""
    return path if path.isprintable() else repr(path)


def same_image(first: str, second: str) -> bool:
    """Compare two paths: do they lead to one file, or to copies of it?

    Args:
        first (str): A path.
        second (str): Another one.

    Returns:
        bool: True for links and for equal bytes.
    """
    try:
        return osp.samefile(first, second) or filecmp.cmp(
            first, second, shallow=False)
    except OSError as error:
        raise InputError(f'{_shown(error.filename or first)}: cannot be '
                         f'read: {error.strerror or error}') from None


def find_images(content: ImageList, folder: str) -> ImageList:
    """Look every image of a list up in a folder.

    An image is found by its path, else by its id as a path without
    suffix, else by the last part of its id anywhere below the folder. Copies
    of one file count as one, the first by name.

    Args:
        content (ImageList): The list.
        folder (str): Where the images are.

    Returns:
        ImageList: The same with paths relative to ``folder``.

    Raises:
        InputError: An image that is not there, or several that differ.
    """
    names = walk_files(folder)
    paths = set(names)
    index: Dict[str, List[str]] = {}
    for name in names:
        index.setdefault(id_of_file(osp.basename(name)), []).append(name)
    records, missing = [], []
    for record in content.records:
        if record.path in paths:
            records.append(record)
            continue
        found = index.get(osp.basename(record.img_id), [])
        found = [name for name in found if id_of_file(name) == record.img_id
                 ] or found
        if not found:
            missing.append(record)
            continue
        for other in found[1:]:
            if not same_image(
                    osp.join(folder, found[0]), osp.join(folder, other)):
                raise InputError(
                    f'{record.where}: {record.img_id[:80]!r} may be '
                    f'{found[0]} or {other}, which differ, in {folder}')
        records.append(record._replace(path=found[0]))
    if missing:
        raise InputError(f'{missing[0].where}: no image '
                         f'{missing[0].img_id[:80]!r} in {folder} '
                         f'({len(missing)} of {len(content.records)} are '
                         'missing)')
    return content._replace(records=records)
