# Copyright (c) group_wsss contributors. All rights reserved.
"""Files that are either whole or absent."""
import os
from pathlib import Path
from typing import Union

from ..errors import InputError


def write_atomic(path: Union[str, Path], data: bytes) -> None:
    """Write a file so that no reader ever sees half of it.

    Args:
        path (str | Path): Where; its folder is made.
        data (bytes): The content.

    Raises:
        InputError: The folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    # several processes may write the same file: each has its own part
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f'{path}: cannot be written: {error.strerror or error}') from error
