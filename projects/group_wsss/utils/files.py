# Copyright (c) group_wsss contributors. All rights reserved.
"""Names and writes of output files: no escape, no half-written file."""
import itertools
import json
import os
import os.path as osp
import re
import stat
import sys
from typing import Any, Optional, Set, Tuple

from .errors import InputError

_COUNTER = itertools.count()
# part files that this process is writing at this moment
_OPEN_PARTS: Set[str] = set()
_PART = re.compile(r'^\.part-r(\d+)-p(\d+)-\d+$')
_DRIVE = re.compile(r'^[A-Za-z]:')


def get_rank() -> int:
    """Give the rank of this process, 0 outside a process group."""
    # a tool without torch has no group, and should not wait for the import
    if 'torch' not in sys.modules:
        return 0
    from mmengine import dist
    return dist.get_rank()


def why_unsafe(name: str) -> Optional[str]:
    """Tell why an id or relative path may not name a file in a folder.

    Args:
        name (str): ``/`` separates folders.

    Returns:
        str or None: What is wrong with it, None if nothing is.
    """
    if not name.strip():
        return 'is empty'
    if any(ord(char) < 32 or ord(char) == 127 for char in name):
        return 'contains a control character'
    if any(0xd800 <= ord(char) < 0xe000 for char in name):
        return 'is not valid Unicode'
    if '\\' in name:
        return 'contains a backslash'
    if name.startswith('/') or _DRIVE.match(name):
        return 'is absolute'
    if any(part in ('', '.', '..') for part in name.split('/')):
        return "contains '..', '.' or an empty part"
    return None


def check_image_id(img_id: str) -> str:
    """Refuse an image id that cannot name a file below a folder.

    Args:
        img_id (str): Image id; ``/`` separates folders.

    Returns:
        str: ``img_id`` itself.

    Raises:
        InputError: See :func:`why_unsafe`.
    """
    if not isinstance(img_id, str) or not img_id:
        raise InputError(f'image id {img_id!r} is not a non-empty string')
    reason = why_unsafe(img_id)
    if reason is not None:
        raise InputError(f'image id {img_id!r} {reason}')
    return img_id


def output_path(out_dir: str, img_id: str, suffix: str) -> str:
    """Path of an image's file below ``out_dir``.

    Args:
        out_dir (str): Output folder.
        img_id (str): Image id, checked by :func:`check_image_id`.
        suffix (str): For example ``'.png'``.

    Returns:
        str: ``<out_dir>/<img_id><suffix>``.
    """
    return osp.join(out_dir, *check_image_id(img_id).split('/')) + suffix


def check_inside(folder: str, root: str) -> None:
    """Refuse a folder that a link leads out of another one.

    Args:
        folder (str): Below ``root``; need not exist.
        root (str): May itself be a link.

    Raises:
        InputError: What is written or removed there would be elsewhere.
    """
    place = osp.realpath(folder)
    if osp.commonpath([place, osp.realpath(root)]) != osp.realpath(root):
        raise InputError(f'{folder}: a link to {place}, outside of {root}: '
                         'nothing is written through it')


def check_regular(path: str) -> None:
    """Refuse a pipe, a device or a socket: reading it may never end.

    Args:
        path (str): A file, a link, a folder or nothing.

    Raises:
        InputError: None of these.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:  # whoever opens it has the message
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f'{path}: a pipe, device or socket, not a file')


def make_folder(folder: str) -> None:
    """Create ``folder`` or say in one line why that is impossible.

    Args:
        folder (str): The folder; parents are created too.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise InputError(f'{folder}: cannot create the folder: '
                         f'{error.strerror or error}') from None


class SameFolder:
    """A folder that must stay the one it was.

    The mount point of a disk that went away is an empty folder of another
    one: what is written later would succeed there, the rest be missing.

    Args:
        path (str): A folder that is there.

    Raises:
        InputError: It is not.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._identity = self._look()

    def _look(self) -> Tuple[int, int]:
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise InputError(f'{self.path}: is out of reach: '
                             f'{error.strerror or error}') from None
        return found.st_dev, found.st_ino

    def check(self) -> None:
        """Raise InputError unless the folder is still the same."""
        if self._look() != self._identity:
            raise InputError(f'{self.path}: is not the folder any more that '
                             'it was: was its disk unmounted?')


def atomic_write(path: str, data: bytes, rank: Optional[int] = None) -> None:
    """Write a file so that it is either complete or absent.

    The bytes go to a part file beside it, named by rank and process since
    two ranks may write the same padded sample. Folders are created.

    Args:
        path (str): Target file.
        data (bytes): Its whole content.
        rank (int, optional): Rank in the part file's name. Defaults to the
            current one.

    Raises:
        InputError: The folder cannot be written, or is full.
    """
    folder, name = osp.split(osp.abspath(path))
    make_folder(folder)
    rank = get_rank() if rank is None else rank
    part = osp.join(folder, f'.part-r{rank}-p{os.getpid()}-{next(_COUNTER)}')
    _OPEN_PARTS.add(part)
    try:
        with open(part, 'wb') as file:
            file.write(data)
        os.replace(part, path)
    except OSError as error:
        raise InputError(f'{folder}: cannot write {name}: '
                         f'{error.strerror or error}') from None
    finally:
        _remove(part)  # there is one after a failure or an interrupt
        _OPEN_PARTS.discard(part)


def read_json(path: str) -> Any:
    """Content of a JSON file.

    Args:
        path (str): The file, UTF-8.

    Returns:
        Any: What it holds.

    Raises:
        FileNotFoundError: There is none; for the caller, who knows what it
            would have been.
        InputError: It cannot be read, or is not JSON.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f'{path}: {error.strerror or error}') from None
    except (ValueError, RecursionError):
        raise InputError(f'{path}: not JSON') from None


def write_json(path: str, content: Any, **kwargs: Any) -> None:
    """Write a JSON file by :func:`atomic_write`.

    Args:
        path (str): Target file.
        content (Any): What JSON can hold.
        **kwargs: Of ``json.dumps``, in place of ``indent=1``.
    """
    text = json.dumps(content, **{'indent': 1, **kwargs})
    atomic_write(path, f'{text}\n'.encode())


def remove_leftovers(folder: str, rank: Optional[int] = None) -> int:
    """Remove part files that dead processes of the same rank left behind.

    Those of other ranks stay: their process may live on another machine.

    Args:
        folder (str): Searched with all its subfolders.
        rank (int, optional): Defaults to the current rank.

    Returns:
        int: Number of removed files.
    """
    rank = get_rank() if rank is None else rank
    removed = 0
    for root, _, names in os.walk(osp.abspath(folder)):
        for match in filter(None, map(_PART.match, names)):
            part = osp.join(root, match[0])
            if int(match[1]) == rank and not _alive(int(match[2]), part):
                removed += _remove(part)
    return removed


def _alive(pid: int, part: str) -> bool:
    """Tell whether the process that owns ``part`` still writes it."""
    if pid == os.getpid():  # or a dead one: containers reuse process ids
        return part in _OPEN_PARTS
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        pass
    return True


def _remove(path: str) -> int:
    """Remove ``path`` if it exists; 1 if it did."""
    try:
        os.remove(path)
    except OSError:  # already gone, or the folder is out of reach
        return 0
    return 1
