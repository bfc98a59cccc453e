# Copyright (c) group_wsss contributors. All rights reserved.
"""Arrays in npz files, which may come from anybody."""
import io
import zipfile
from typing import Any, List, Sequence

import numpy as np

from ..utils.errors import InputError, one_line
from ..utils.files import atomic_write, check_regular

# of a file's arrays: a damaged or hostile one may unpack to anything
MAX_BYTES = 2**30


def write_arrays(path: str, **arrays: Any) -> None:
    """Write a compressed npz that is whole or not there."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    atomic_write(path, buffer.getvalue())


def read_arrays(path: str, keys: Sequence[str], what: str) -> List[np.ndarray]:
    """Arrays of an npz file; never executes code from it.

    Args:
        path (str): The file.
        keys (Sequence[str]): Names of the arrays.
        what (str): Name of such a file, for the message.

    Returns:
        list[np.ndarray]: In the order of ``keys``, of any type and shape.

    Raises:
        InputError: Missing, damaged, too large once unpacked, or without
            one of the arrays.
    """
    check_regular(path)
    try:
        with open(path, 'rb') as file:
            with zipfile.ZipFile(file) as members:
                size = sum(item.file_size for item in members.infolist())
            if size > MAX_BYTES:
                raise ValueError(f'{size} bytes once unpacked, more than '
                                 f'{MAX_BYTES}')
            file.seek(0)
            archive = np.load(file, allow_pickle=False)
            arrays = [archive[key] for key in keys]
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except Exception as error:
        # numpy and zipfile raise anything on a damaged file
        raise InputError(f'{path}: not a {what}: '
                         f'{one_line(error)}') from None
    # numpy hands out members that are no arrays as bytes
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise InputError(f'{path}: not a {what}: its arrays have the wrong '
                         'type or shape')
    return arrays
