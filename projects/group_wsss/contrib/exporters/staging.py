# Copyright (c) group_wsss contributors. All rights reserved.
import os
import os.path as osp
import re
import shutil
from contextlib import contextmanager
from typing import Iterator

from ...utils.errors import InputError
from ...utils.files import SameFolder, make_folder


@contextmanager
def staged(path: str) -> Iterator[str]:
    """Write beside ``path``, and take its place when all is written.

    A file is replaced. A folder takes the place of nothing or of an empty
    folder, so that no export is mixed with another one. Whatever ends the
    block otherwise leaves ``path`` as it was.

    Args:
        path (str): File or folder to write.

    Yields:
        str: Hidden path in the same folder; the block creates the file or
        folder there.

    Raises:
        InputError: The place cannot be written, or is a folder that is not
            empty.
    """
    path = osp.abspath(path)
    parent, name = osp.split(path)
    make_folder(parent)
    if osp.isdir(path) and os.listdir(path):
        raise InputError(f'{path}: is a folder with something in it; give '
                         'the name of a new one')
    _remove_dead(parent, name)
    part = osp.join(parent, f'.{name}.part-p{os.getpid()}')
    place = SameFolder(parent)
    try:
        yield part
        place.check()
        os.replace(part, path)
    except OSError as error:
        raise InputError(f'{path}: cannot be written: '
                         f'{error.strerror or error}') from None
    finally:
        _remove(part)


def _remove(path: str) -> None:
    """Remove a file or a folder if it is there."""
    if osp.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    elif osp.exists(path):
        os.remove(path)


def _remove_dead(parent: str, name: str) -> None:
    """Remove what processes that were killed left of the same export."""
    pattern = re.compile(re.escape(f'.{name}.part-p') + r'(\d+)')
    for found in os.listdir(parent):
        match = pattern.fullmatch(found)
        if match is None:
            continue
        try:
            os.kill(int(match.group(1)), 0)
        except (ProcessLookupError, OverflowError):
            _remove(osp.join(parent, found))
        except OSError:  # exists, but belongs to somebody else
            continue
