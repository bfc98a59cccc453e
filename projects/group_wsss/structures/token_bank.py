# Copyright (c) group_wsss contributors. All rights reserved.
import io
import json
import os
import os.path as osp
import re
import shutil
import zlib
from typing import Any, Optional

import numpy as np

from ..utils.errors import InputError
from ..utils.files import (atomic_write, make_folder, read_json,
                           remove_leftovers)

_MAP = re.compile(r'^\d+\.npy$')


class TokenBank:
    """Tokens of many images in one memory-mapped file.

    ``tokens.bin`` has a record an image, in the order of their list: checksum,
    number of tokens, and the tokens as float16. A record is written in one
    call and read only if its checksum is right, so that an image is there or
    not, whenever a process was killed. Several processes may write different
    images; they have to share the folder. ``bank.json`` tells what the tokens
    were made of. Whole maps of images may lie beside them for a while.

    Args:
        folder (str): Where they are.
        images (int): Images of the list, ``N``.
        tokens (int): Most tokens of an image, ``M``.
        width (int): Numbers of a token, ``D``.
        fingerprint (str): Of all that the tokens depend on.
    """

    dtype: Any = np.float16

    def __init__(self, folder: str, images: int, tokens: int, width: int,
                 fingerprint: str) -> None:
        self.folder = folder
        self._record = np.dtype([('check', '<u4'), ('count', '<u4'),
                                 ('tokens', self.dtype, (tokens, width))])
        self.nbytes = images * self._record.itemsize
        self._about = dict(
            version=1,
            fingerprint=fingerprint,
            images=images,
            tokens=tokens,
            width=width,
            dtype=np.dtype(self.dtype).name)
        self._images = images
        self._path = osp.join(folder, 'tokens.bin')
        self._json = osp.join(folder, 'bank.json')
        self._maps = osp.join(folder, 'maps')
        self._view: Any = None

    def begin(self) -> bool:
        """Make the files, unless they are there: for one process.

        Returns:
            bool: Whether tokens of the same fingerprint were found, and
            stay.

        Raises:
            InputError: The folder cannot be written, or its disk is too
                small.
        """
        make_folder(self.folder)
        remove_leftovers(self.folder)
        try:
            known = read_json(self._json) == self._about
        except (FileNotFoundError, InputError):
            known = False
        if known and osp.isfile(self._path) and (osp.getsize(self._path)
                                                 == self.nbytes):
            return True
        for path in (self._json, self._path):
            if osp.lexists(path):
                os.remove(path)
        self.remove_maps()
        free = self.free_bytes()
        if self.nbytes > free:
            raise InputError(f'{self.folder}: the token bank needs '
                             f'{self.nbytes} bytes, {free} are free: make '
                             'room or lower pool_size of TokenBankHook')
        try:
            with open(self._path, 'wb') as file:
                file.truncate(self.nbytes)
        except OSError as error:
            raise InputError(f'{self._path}: cannot be written: '
                             f'{error.strerror or error}') from None
        # last: without it nothing of the rest counts
        atomic_write(self._json, json.dumps(self._about, indent=1).encode())
        return False

    def open(self) -> None:
        """Map the file, after :meth:`begin` of one process.

        Raises:
            InputError: It is not there.
        """
        try:
            self._view = np.memmap(
                self._path, self._record, 'r', shape=(self._images, ))
        except (OSError, ValueError):
            raise InputError(
                f'{self._path}: cannot be read by a process that did not '
                'make it: all machines must share the work dir') from None

    def free_bytes(self) -> int:
        """Free space of the disk."""
        return shutil.disk_usage(self.folder).free

    def write(self, place: int, tokens: np.ndarray) -> None:
        """Write the tokens of an image.

        Args:
            place (int): Its position in the list.
            tokens (np.ndarray): ``(n, D)`` with ``1 <= n <= M``.

        Raises:
            InputError: The disk is full.
        """
        record = np.zeros((), self._record)
        record['count'] = len(tokens)
        record['tokens'][:len(tokens)] = tokens
        record['check'] = self._check(record)
        data = record.tobytes()
        try:
            # not through the map: a full disk would end the process
            with open(self._path, 'r+b', buffering=0) as file:
                file.seek(place * len(data))
                done = file.write(data)
        except OSError as error:
            raise InputError(f'{self._path}: cannot be written: '
                             f'{error.strerror or error}') from None
        if done != len(data):
            raise InputError(f'{self._path}: the disk is full')

    @staticmethod
    def _check(record: np.ndarray) -> int:
        return zlib.crc32(record.tobytes()[4:])

    def read(self, place: int) -> Optional[np.ndarray]:
        """Read the tokens of an image.

        Args:
            place (int): Its position in the list.

        Returns:
            np.ndarray, optional: ``(n, D)``; None if they are not there.
        """
        record = self._view[place]
        count = int(record['count'])
        if not count or self._check(record) != int(record['check']):
            return None
        return record['tokens'][:count]

    def _map_path(self, place: int) -> str:
        return osp.join(self._maps, f'{place}.npy')

    def write_map(self, place: int, maps: np.ndarray) -> None:
        """Keep whole maps of an image until :meth:`remove_maps`.

        Args:
            place (int): Its position in the list.
            maps (np.ndarray): ``(D, h, w)``, stored as float16.
        """
        file = io.BytesIO()
        np.save(file, maps.astype(self.dtype))
        atomic_write(self._map_path(place), file.getvalue())

    def read_map(self, place: int) -> Optional[np.ndarray]:
        """Read whole maps of an image.

        Args:
            place (int): Its position in the list.

        Returns:
            np.ndarray, optional: ``(D, h, w)``; None if there are none.
        """
        try:
            return np.load(self._map_path(place), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None

    def remove_maps(self) -> None:
        """Remove all maps of images, and nothing else."""
        if osp.isdir(self._maps) and not osp.islink(self._maps):
            remove_leftovers(self._maps)
            for name in filter(_MAP.match, os.listdir(self._maps)):
                os.remove(osp.join(self._maps, name))
            if not os.listdir(self._maps):
                os.rmdir(self._maps)
