# Copyright (c) group_wsss contributors. All rights reserved.
import os
import os.path as osp
import shutil
from contextlib import contextmanager, suppress
from typing import Iterator

from ...utils.errors import InputError
from ..exporters.staging import staged

# in the head of index.html: a folder with it is ours to replace
MARK = '<meta name="generator" content="group_wsss report">'


@contextmanager
def report_folder(path: str) -> Iterator[str]:
    """Write a report beside ``path``, and take its place when it is whole.

    ``path`` may be new, an empty folder or an earlier report; whatever ends
    the block otherwise leaves it as it was.

    Args:
        path (str): Folder of the report.

    Yields:
        str: A new folder beside it, hidden, to be filled.

    Raises:
        InputError: The place cannot be written, or holds something that is
            not a report.
    """
    path = osp.abspath(path)
    if osp.lexists(path) and not _is_ours(path):
        raise InputError(f'{path}: is there and is no report; give the name '
                         'of a new folder')
    parent, name = osp.split(path)
    ready, old = (
        osp.join(parent, f'.{name}.{word}-p{os.getpid()}')
        for word in ('ready', 'old'))
    try:
        with staged(ready) as part:
            os.mkdir(part)
            yield part
        _swap(ready, path, old)
    finally:
        for folder in (ready, old):
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(path: str) -> bool:
    """True for an empty folder or a report."""
    if not osp.isdir(path):
        return False
    if not os.listdir(path):
        return True
    try:
        with open(osp.join(path, 'index.html'), 'rb') as file:
            return MARK.encode() in file.read(1024)
    except OSError:
        return False


def _swap(ready: str, path: str, old: str) -> None:
    """Put a report in place of an earlier one."""
    try:
        if osp.lexists(path):
            os.replace(path, old)
        os.replace(ready, path)
    except OSError as error:
        if osp.lexists(old):
            with suppress(OSError):
                os.replace(old, path)
        raise InputError(f'{path}: cannot be written: '
                         f'{error.strerror or error}') from None
