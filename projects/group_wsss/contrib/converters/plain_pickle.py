# Copyright (c) group_wsss contributors. All rights reserved.
"""The data in a pickle, read without running anything that it asks for."""
import io
import pickle
import pickletools
from typing import Any, List, Sequence, Union

import numpy as np

from ...utils.errors import InputError

_NUMBERS = ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4',
            'f8')
Bytes = Union[bytes, bytearray, str]


class _Dtype:
    """Stands for ``numpy.dtype``; the byte order comes with the state."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, '<'

    def __setstate__(self, state: Sequence[Any]) -> None:
        if state[1] not in ('<', '>', '|', '='):
            raise InputError('a data type that is not read')
        self.order = state[1]

    def numbers(self, shape: Sequence[int], content: Bytes,
                fortran: Any) -> np.ndarray:
        """An array from its bytes; Python 2 wrote them as text."""
        if isinstance(content, str):
            content = content.encode('latin1')
        if self.code not in _NUMBERS:
            raise InputError(f'an array of type {self.code[:80]!r}')
        order = '<' if self.order in '|=' else self.order
        flat = np.frombuffer(content, np.dtype(order + self.code))
        size = 1
        for side in shape:
            size *= side
        if size != len(flat) or min(shape, default=0) < 0:
            raise InputError('a damaged pickle: an array of another size')
        return flat.reshape(shape, order='F' if fortran else 'C')


class _Ndarray:
    """Stands for ``numpy.ndarray``; the content comes with the state."""

    def __init__(self, *_: Any) -> None:
        raise InputError('a call of ndarray')

    def __setstate__(self, state: Sequence[Any]) -> None:
        _, shape, kind, fortran, content = state
        self.value: Any = content
        if kind.code not in ('O', 'O8'):
            self.value = kind.numbers(shape, content, fortran)
        elif not isinstance(content, list):
            raise InputError('a damaged pickle: objects without a list')


def _reconstruct(kind: Any, *_: Any) -> _Ndarray:
    if kind is not _Ndarray:
        raise InputError('an object that is no array')
    return _Ndarray.__new__(_Ndarray)


def _frombuffer(content: Bytes, kind: _Dtype, shape: Sequence[int],
                order: str) -> np.ndarray:
    return kind.numbers(shape, content, order == 'F')


def _scalar(kind: _Dtype, content: Bytes) -> Any:
    """A number or text of numpy, as Python's."""
    if kind.code[:1] != 'U':
        return kind.numbers((), content, False).item()
    if isinstance(content, str):
        content = content.encode('latin1')
    order = 'be' if kind.order == '>' else 'le'
    return bytes(content).decode(f'utf-32-{order}').rstrip('\0')


def _encode(text: str, encoding: str) -> bytes:
    if encoding != 'latin1':
        raise InputError('an encoding that is not read')
    return text.encode('latin1')


# what a pickle of numpy's arrays and numbers names, and what stands for it
_NAMES = {
    'numpy.ndarray': _Ndarray,
    'numpy.dtype': _Dtype,
    '_codecs.encode': _encode,
}
for _core in ('numpy.core', 'numpy._core'):
    _NAMES[f'{_core}.multiarray._reconstruct'] = _reconstruct
    _NAMES[f'{_core}.multiarray.scalar'] = _scalar
    _NAMES[f'{_core}.numeric._frombuffer'] = _frombuffer


class _Unpickler(pickle.Unpickler):
    """Knows the names above and imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        full = f'{module}.{name}'
        if full not in _NAMES:
            raise InputError(f'it asks for {full[:80]!r}: not a plain file of '
                             'labels, and nothing of it was executed')
        return _NAMES[full]


def load_plain_pickle(data: bytes) -> Any:
    """Read numbers, texts, containers and numpy arrays from a pickle.

    Args:
        data (bytes): The pickle, protocol 2 to 5.

    Returns:
        Any: Python objects; arrays of numbers as ``np.ndarray``, of objects
        as a flat list, numpy's numbers as Python's.

    Raises:
        InputError: Damaged, or with anything else in it; the message names
            no file.
    """
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ('EXT1', 'EXT2', 'EXT4', 'PERSID', 'BINPERSID'):
                raise InputError(f'opcode {opcode.name} is not read')
            # the place in a table that would be made as large as that
            if opcode.name.endswith('BINPUT') and int(argument
                                                      or 0) > len(data):
                raise InputError('a damaged pickle: a table too large')
        return _plain(_Unpickler(io.BytesIO(data)).load())
    except InputError:
        raise
    except (ArithmeticError, AttributeError, EOFError, LookupError,
            MemoryError, TypeError, ValueError,
            pickle.UnpicklingError) as error:
        raise InputError(f'a damaged pickle: {str(error)[:80]!r}') from None


def _plain(value: Any) -> Any:
    """Without our own types, as deep as the files are.

    No recursion: the lists of a pickle may hold themselves.
    """
    value = _content(value)
    if isinstance(value, list):
        items: List[Any] = [_plain_dict(item) for item in value]
        return items
    return _plain_dict(value)


def _plain_dict(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _content(item) for key, item in value.items()}


def _content(value: Any) -> Any:
    return value.value if isinstance(value, _Ndarray) else value
