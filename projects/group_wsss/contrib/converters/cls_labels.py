# Copyright (c) group_wsss contributors. All rights reserved.
import re
from typing import Any, Dict, Optional, Sequence

import numpy as np

from ...structures.image_list import ImageList
from ...utils.errors import InputError
from .builder import ListBuilder
from .files import read_bytes
from .plain_pickle import load_plain_pickle

# how whole numbers in place of ids are written out
INT_IDS = ('plain', 'voc', 'coco')
_MAGIC = b'\x93NUMPY'
_OBJECT = re.compile(rb"'descr':\s*'\|O'.*'shape':\s*\(\s*\)")


def read_cls_labels(path: str,
                    classes: Sequence[str],
                    int_ids: Optional[str] = None,
                    suffix: str = '.jpg') -> ImageList:
    """``cls_labels.npy`` of WSSS repositories: id -> vector of 0 and 1.

    Such a file is a pickle, and ``numpy.load`` would execute what is in it.
    Here it is read by :func:`load_plain_pickle`, which executes nothing.

    A key may be a file name: a known image suffix is taken off and the key
    is the path.

    Args:
        path (str): The file.
        classes (Sequence[str]): Names of the classes, in the order of the
            vectors; the file has none.
        int_ids (str, optional): Some files have whole numbers as ids:
            ``'voc'`` writes 2007000032 as ``2007_000032``, ``'coco'`` pads
            with zeros to twelve digits, ``'plain'`` takes the digits.
            Defaults to None: numbers are refused.
        suffix (str): See :class:`ListBuilder`. Defaults to '.jpg'.

    Returns:
        ImageList: The list.

    Raises:
        InputError: One line with the file and the id at fault.
    """
    assert int_ids is None or int_ids in INT_IDS, f'one of {INT_IDS}'
    labels = _read_dict(path)
    builder = ListBuilder(path, classes, suffix)
    names = builder.classes or []
    for key, vector in labels.items():
        where = f'{path}: id {str(key)[:80]!r}'
        if not isinstance(vector, np.ndarray) or vector.ndim != 1:
            raise InputError(f'{where}: expected a vector of 0 and 1')
        if len(vector) != len(names):
            raise InputError(f'{where}: {len(vector)} values, but '
                             f'{len(names)} classes')
        if not np.isin(vector, (0, 1)).all():
            raise InputError(f'{where}: values other than 0 and 1')
        builder.add_file(where, _id(where, key, int_ids),
                         [names[i] for i in np.flatnonzero(vector)])
    return builder.build()


def _read_dict(path: str) -> Dict[Any, Any]:
    """The dict in the file."""
    data = read_bytes(path)
    if data[:6] != _MAGIC or data[6:7] not in (b'\1', b'\2', b'\3'):
        raise InputError(f'{path}: is no .npy file')
    start = 10 if data[6] == 1 else 12
    start, first = start + int.from_bytes(data[8:start], 'little'), start
    if not _OBJECT.search(data[first:start]):
        raise InputError(f'{path}: holds no dict of ids and vectors')
    try:
        content = load_plain_pickle(data[start:])
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
    labels = content.item() if getattr(content, 'size', 0) == 1 else None
    if not isinstance(labels, dict):
        raise InputError(f'{path}: holds no dict of ids and vectors')
    return labels


def _id(where: str, key: Any, int_ids: Optional[str]) -> str:
    """An id as text."""
    if isinstance(key, str):
        return key
    if int_ids is None:
        raise InputError(f'{where}: is a number; say how ids look: int_ids '
                         f'is one of {", ".join(INT_IDS)}')
    digits = str(key)
    if int_ids == 'voc':
        return f'{digits[:4]}_{digits[4:]}'
    return digits.zfill(12) if int_ids == 'coco' else digits
