# Copyright (c) group_wsss contributors. All rights reserved.
"""Checkpoints that are either whole or absent."""
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend

from ...utils.files import atomic_write

# its name in mmengine's `backend_args`
ATOMIC = 'group_wsss.atomic'


class AtomicBackend(LocalBackend):
    """mmengine's file backend; a full disk leaves no half-written file."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes.

        Args:
            obj (bytes): The content.
            filepath (str | Path): Where; its folder is made.

        Raises:
            InputError: The folder cannot be written, or is full.
        """
        atomic_write(str(filepath), obj)


register_backend(ATOMIC, AtomicBackend)
