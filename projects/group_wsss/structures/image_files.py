# Copyright (c) group_wsss contributors. All rights reserved.
"""Files of images in a folder and all folders below it."""
import filecmp
import os
import os.path as osp
import unicodedata
from collections import Counter
from typing import (Any, Callable, Dict, FrozenSet, List, Mapping, Optional,
                    Sequence, Tuple)

from ..utils.errors import InputError
from ..utils.files import why_unsafe
from .image_list import IMAGE_SUFFIXES, ImageRecord, id_of_file


def walk_files(folder: str,
               suffixes: Sequence[str] = IMAGE_SUFFIXES,
               left_out: Optional[Counter] = None) -> List[str]:
    """Files with one of the suffixes, in all folders below ``folder`` too.

    Links to files and folders are followed. What begins with a dot is left
    out, and so is any other kind of file.

    Args:
        folder (str): Where to look.
        suffixes (Sequence[str]): In lower case; the files' may be in any.
            Defaults to those of images.
        left_out (Counter, optional): Counts the files of other kinds by
            their suffix. Defaults to None.

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
            suffix = osp.splitext(name)[1].lower()
            if entry.name.startswith('.'):
                continue
            if _is(entry.is_dir):
                todo.append((f'{name}/', parents | {key}))
            elif suffix in suffixes:
                reason = why_unsafe(name)
                if reason:
                    raise InputError(f'{_shown(folder)}: the name '
                                     f'{name[:80]!r} {reason}')
                if not _is(entry.is_file):
                    raise InputError(f'{_shown(entry.path)}: no file, or a '
                                     'link without a target')
                found.append(name)
            elif left_out is not None:
                left_out[suffix or 'without a suffix'] += 1
    return sorted(found)


def _is(question: Callable[[], bool]) -> bool:
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


def _composed(name: str) -> str:
    """A name in Unicode's form NFC: disks hand out both forms."""
    return unicodedata.normalize('NFC', name)


def _has_tail(name: str, tail: str) -> bool:
    return name == tail or name.endswith(f'/{tail}')


def find_files(records: Sequence[ImageRecord],
               folder: str,
               elsewhere: bool = False) -> List[ImageRecord]:
    """Look the file of every image up in a folder.

    An image is found by its path. One without a path is the file whose name
    without suffix is its id, else ends with ``/`` and its id. No file
    serves two images so: what is missing is missing.

    Args:
        records (Sequence[ImageRecord]): The images.
        folder (str): Where they are.
        elsewhere (bool): Paths are those of another place, so that an image
            that is not at its path is looked up by its id, and then by its
            path, of which either place may have more folders in front.
            Defaults to False.

    Returns:
        list[ImageRecord]: The same with paths relative to ``folder``.

    Raises:
        InputError: Images that are not there (with their number), several
            files that differ for one of them, or one file for two.
    """
    names = walk_files(folder)
    index: Dict[str, List[str]] = {}
    for name in names:
        for key in {name, _composed(name)}:
            index.setdefault(key, []).append(name)
        stem = _composed(id_of_file(name))
        index.setdefault(f'/{osp.basename(stem)}', []).append(name)
    # what a path names serves nobody else
    taken = {path: None for path in (_at(index, r.path) for r in records)}
    users: Dict[str, ImageRecord] = {}
    found, missing = [], []
    for record in records:
        path = _at(index, record.path)
        if path is None and (record.path is None or elsewhere):
            path = _by_name(index, record, folder, taken, elsewhere)
            other = users.setdefault(path, record) if path else record
            if other is not record:
                raise InputError(f'{record.where}: {record.img_id[:80]!r} and '
                                 f'{other.img_id[:80]!r} would both be {path} '
                                 f'in {folder}')
        if path is None:
            missing.append(record)
        else:
            found.append(record._replace(path=path))
    if missing:
        shown = [(r.path or r.img_id)[:80] for r in missing[:3]]
        raise InputError(
            f'{missing[0].where}: no image {missing[0].img_id[:80]!r} in '
            f'{folder} ({len(missing)} of {len(records)} are missing: '
            f'{", ".join(shown)}{", ..." if len(missing) > 3 else ""})')
    return found


def _at(index: Mapping[str, List[str]], path: Optional[str]) -> Optional[str]:
    """The file at a path, in either form of Unicode."""
    if path is None or osp.isabs(path):
        return path if path and osp.isfile(path) else None
    found = index.get(path) or index.get(_composed(path), [])
    return path if path in found else found[0] if len(found) == 1 else None


def _by_name(index: Mapping[str, List[str]], record: ImageRecord, folder: str,
             taken: Mapping[Optional[str],
                            Any], elsewhere: bool) -> Optional[str]:
    """The one file that an image without a path can be."""
    img_id = name = _composed(record.img_id)
    if elsewhere and record.path is not None:
        name = _composed(id_of_file(record.path))
    stems = {
        path: _composed(id_of_file(path))
        for key in {osp.basename(img_id),
                    osp.basename(name)}
        for path in index.get(f'/{key}', []) if path not in taken
    }
    found = [path for path, stem in stems.items() if stem == img_id]
    found = sorted(found or [
        path for path, stem in stems.items()
        if _has_tail(stem, name) or (elsewhere and _has_tail(name, stem))
    ])
    for other in found[1:]:
        if not same_image(osp.join(folder, found[0]), osp.join(folder, other)):
            raise InputError(f'{record.where}: {record.img_id[:80]!r} may be '
                             f'{found[0]} or {other}, which differ, in '
                             f'{folder}')
    return found[0] if found else None


def image_paths(ids: Sequence[str],
                known: Mapping[str, str],
                where: str,
                folder: Optional[str] = None,
                suffix: Optional[str] = None) -> Dict[str, str]:
    """Name the file of every image, or refuse; nothing is guessed.

    Args:
        ids (Sequence[str]): Image ids.
        known (Mapping[str, str]): Path by image id, as far as it is known.
        where (str): Dump of the images, for messages.
        folder (str, optional): Folder of the images: all must be there, and
            those without a path are looked up. Defaults to None.
        suffix (str, optional): Ending of the ids that have no path. Defaults
            to None.

    Returns:
        dict[str, str]: Path relative to the folder of the images, by id.

    Raises:
        InputError: As :func:`find_files`, or an image has no path and there
            is no folder, or a suffix that cannot end a name.
    """
    if suffix is not None and (not suffix.startswith('.') or len(suffix) < 2
                               or not suffix.isprintable()
                               or set(suffix) & set('/\\ ')):
        raise InputError(f'suffix {suffix!r} is not the ending of a '
                         "image's name, such as .jpg")
    records = [
        ImageRecord(
            img_id, (),
            known.get(img_id, None if suffix is None else img_id + suffix),
            where) for img_id in ids
    ]
    if folder is not None:
        records = find_files(records, folder)
    paths = {r.img_id: r.path for r in records if r.path is not None}
    if len(paths) < len(records):
        first = next(r.img_id for r in records if r.path is None)
        raise InputError(
            f'{where}: does not say which file {first!r} is '
            f'({len(records) - len(paths)} of {len(records)} images): give '
            '--images FOLDER, --list with paths, or --suffix (.jpg)')
    return paths
