# Copyright (c) group_wsss contributors. All rights reserved.
"""Checkpoints that are either whole or absent."""
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend
from mmengine.registry import HOOKS

from ...utils.files import atomic_write
from .atomic_checkpoint_hook import AtomicCheckpointHook


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

    def put_text(self,
                 obj: str,
                 filepath: Union[str, Path],
                 encoding: str = 'utf-8') -> None:
        """Write text, as :meth:`put`.

        Args:
            obj (str): The content.
            filepath (str | Path): Where; its folder is made.
            encoding (str): Defaults to 'utf-8'.
        """
        self.put(obj.encode(encoding), filepath)


def use_atomic_writes() -> None:
    """Make mmengine write checkpoints and other files by the class above.

    ``CheckpointHook`` in a config becomes :class:`AtomicCheckpointHook`.
    """
    register_backend('local', AtomicBackend, force=True, prefixes='')
    HOOKS.register_module(
        'CheckpointHook', module=AtomicCheckpointHook, force=True)
