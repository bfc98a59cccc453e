# Copyright (c) group_wsss contributors. All rights reserved.
"""A label index on disk: one ``.npy`` file an array, and a header.

``set_of`` ``(N, )`` is the label set of every image. ``set_classes``,
``set_images`` and ``class_images`` are classes or images of one set or class
after another, ascending in each; ``set_class_starts``, ``set_image_starts``
``(S + 1, )`` and ``class_image_starts`` ``(C + 1, )`` say where each starts.
"""
import hashlib
import io
import json
import os
import os.path as osp
import re
from typing import Any, Dict, Optional, Tuple

import numpy as np

from ...structures.text_files import parse_json, read_text
from ...utils.errors import InputError, one_line
from ...utils.files import atomic_write

HEADER = 'label_index.json'
_FORMAT, _VERSION = 'group_wsss label index', 1
# arrays of rows, and where their rows start
_ROWS = dict(
    set_classes='set_class_starts',
    set_images='set_image_starts',
    class_images='class_image_starts')
_ARRAYS = {'set_of', *_ROWS, *_ROWS.values()}
_TYPES = ('<u2', '<i4', '<i8')
_FINGERPRINT = re.compile('[0-9a-f]{32}')


def fingerprint_of(num_classes: int, arrays: Dict[str, np.ndarray]) -> str:
    """Hash of an index: the same labels give the same.

    Args:
        num_classes (int): Classes of the list.
        arrays (dict[str, np.ndarray]): What the index consists of.

    Returns:
        str: 32 hexadecimal digits of BLAKE2b.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f'{_VERSION} {num_classes}'.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f'{name} {array.dtype.str} {array.shape}'.encode())
        digest.update(array.view(np.uint8).data if array.size else b'')
    return digest.hexdigest()


def write_index(folder: str, num_classes: int,
                arrays: Dict[str, np.ndarray]) -> str:
    """Write an index; the header, which comes last, makes it valid.

    Arrays carry the fingerprint in their names: an index that is replaced
    stays whole until the new header is there.

    Args:
        folder (str): Created where needed.
        num_classes, arrays: As in :func:`fingerprint_of`.

    Returns:
        str: The fingerprint.

    Raises:
        InputError: The folder cannot be written.
    """
    fingerprint = fingerprint_of(num_classes, arrays)
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        atomic_write(_path(folder, name, fingerprint), buffer.getbuffer())
    header = dict(
        format=_FORMAT,
        version=_VERSION,
        fingerprint=fingerprint,
        num_classes=num_classes,
        arrays={
            name: dict(dtype=array.dtype.str, shape=list(array.shape))
            for name, array in arrays.items()
        })
    text = json.dumps(header, indent=1) + '\n'
    atomic_write(osp.join(folder, HEADER), text.encode())
    _remove_others(folder, fingerprint)
    return fingerprint


def read_index(folder: str, fingerprint: Optional[str],
               verify: bool) -> Tuple[Dict[str, Any], Dict[str, np.ndarray]]:
    """Read what :func:`write_index` wrote.

    Args:
        folder (str): Where it is.
        fingerprint (str, optional): What it must be.
        verify (bool): Compare the content with the fingerprint.

    Returns:
        tuple[dict, dict[str, np.ndarray]]: Header and mapped arrays.

    Raises:
        InputError: One line naming the file and what is wrong with it.
    """
    header = _read_header(osp.join(folder, HEADER))
    own = header['fingerprint']
    if fingerprint not in (None, own):
        raise InputError(f'{folder}: a label index of other labels '
                         f'(fingerprint {own}, expected {fingerprint})')
    arrays = {}
    for name, kind in header['arrays'].items():
        path = _path(folder, name, own)
        shape = tuple(kind['shape'])
        # an empty file part cannot be mapped
        mode: Any = None if 0 in shape else 'r'
        try:
            array = np.load(path, mmap_mode=mode, allow_pickle=False)
        except FileNotFoundError:
            raise InputError(f'{path}: no such file') from None
        except Exception as error:
            # numpy raises anything on a damaged file
            raise InputError(f'{path}: cannot be read: '
                             f'{one_line(error)}') from None
        if (not isinstance(array, np.ndarray) or array.shape != shape
                or array.dtype.str != kind['dtype']):
            raise InputError(f'{path}: not the array that {HEADER} describes')
        arrays[name] = np.asarray(array)  # a map, but no np.memmap
        arrays[name].flags.writeable = False
    _check_shapes(folder, header['num_classes'], arrays)
    if verify and own != fingerprint_of(header['num_classes'], arrays):
        raise InputError(f'{folder}: the label index is damaged: its content '
                         'does not have its fingerprint; remove the folder '
                         'and build it again')
    return header, arrays


def _path(folder: str, name: str, fingerprint: str) -> str:
    return osp.join(folder, f'{name}-{fingerprint}.npy')


def _remove_others(folder: str, fingerprint: str) -> None:
    """Remove arrays of an index that was replaced."""
    names = '|'.join(_ARRAYS)
    pattern = re.compile(f'({names})-({_FINGERPRINT.pattern})[.]npy')
    for name in os.listdir(folder):
        match = pattern.fullmatch(name)
        if match and match.group(2) != fingerprint:
            try:
                os.remove(osp.join(folder, name))
            except OSError:  # another process was first
                pass


def _read_header(path: str) -> Dict[str, Any]:
    header = parse_json(read_text(path, 'label index'), path)
    if not isinstance(header, dict) or header.get('format') != _FORMAT:
        raise InputError(f'{path}: not the header of a label index')
    if header.get('version') != _VERSION:
        raise InputError(f'{path}: version {header.get("version")!r} of the '
                         f'label index, this program reads {_VERSION}: '
                         'remove the folder and build it again')
    arrays: Any = header.get('arrays')
    fine = isinstance(arrays, dict) and set(arrays) == _ARRAYS
    fine = fine and all(
        isinstance(kind, dict) and kind.get('dtype') in _TYPES
        and isinstance(kind.get('shape'), list) and len(kind['shape']) == 1
        and _is_count(kind['shape'][0]) for kind in arrays.values())
    fine = fine and _is_count(header.get('num_classes'))
    fine = fine and _FINGERPRINT.fullmatch(str(
        header.get('fingerprint'))) is not None
    if not fine:
        raise InputError(f'{path}: a damaged header')
    return header


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _check_shapes(folder: str, num_classes: int,
                  arrays: Dict[str, np.ndarray]) -> None:
    """No draw may leave the arrays; only ends of arrays are read."""
    images, sets = len(arrays['set_images']), len(arrays['set_class_starts'])
    fine = len(arrays['set_of']) == images > 0
    fine = fine and len(arrays['class_image_starts']) == num_classes + 1
    fine = fine and len(arrays['set_image_starts']) == sets > 1
    for values, starts in _ROWS.items():
        ends = arrays[starts][[0, -1]].tolist() if fine else []
        fine = ends == [0, len(arrays[values])]
    if not fine:
        raise InputError(f'{folder}: arrays of the label index do not fit '
                         'each other')
