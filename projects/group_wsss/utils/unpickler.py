# Copyright (c) group_wsss contributors. All rights reserved.
"""A pickle reader that calls nothing but what stands in a table."""
import _codecs
import math
import pickle
import re
from typing import Any, Dict

import numpy as np

from .errors import InputError

# numpy 1 and 2 call it differently
_core: Any = getattr(np, 'core' if np.__version__ < '2' else '_core')

# types of numbers and texts of fixed length; records hold pointers
_DTYPE = re.compile(r'[biufcSU]\d{1,9}|O8?')
# modules as Python 2 and numpy 1 call them
_MOVED = {
    '__builtin__': 'builtins',
    'numpy.core.multiarray': 'numpy._core.multiarray',
    'numpy.core.numeric': 'numpy._core.numeric',
}


def _encode(text: str, encoding: str) -> bytes:
    """Protocol 2's spelling of ``bytes``."""
    if encoding != 'latin1':
        raise InputError(f'refused: encode to {encoding}')
    return _codecs.encode(text, encoding)


def _dtype(code: str, *_: Any) -> np.dtype:
    """A type of numbers, texts or objects, a copy of its own."""
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise InputError(f'refused: an array of type {str(code)[:40]!r}')
    return np.dtype(code, copy=True)


def _check_dtype_state(kind: np.dtype, state: Any) -> None:
    """Refuse a state that sets more than the byte order.

    numpy believes the flags and sizes in it, which decide whether bytes of
    the file are taken for addresses of objects.
    """
    size, align, flags = dict(
        S=(kind.itemsize, 1, 0), U=(kind.itemsize, 4, 8),
        O=(-1, -1, 63)).get(kind.kind, (-1, -1, 0))
    rest = (None, None, None, size, align, flags)
    if state not in [(3, order, *rest) for order in '<>|=']:
        raise InputError(f'refused: a state of type {kind}')


def _check_array_state(state: Any) -> None:
    """Refuse objects that are not a list of as many as the array holds."""
    _, shape, kind, _, content = state
    if not isinstance(kind, np.dtype) or kind.hasobject and (
            not isinstance(content, list) or len(content) != math.prod(shape)):
        raise InputError('refused: an array of other objects')


def _new_array(*_: Any) -> Any:
    """An empty array of the plain class, which its state will fill."""
    return _core.multiarray._reconstruct(np.ndarray, (0, ), b'b')


def _scalar(kind: Any, *data: Any) -> Any:
    """A number or text of numpy."""
    if not isinstance(kind, np.dtype) or kind.hasobject:
        raise InputError('refused: a number without a type')
    return _core.multiarray.scalar(kind, *data)


# the pure Python one of the standard library, whose states can be looked at
# before they are set; it carries no usable types
_Unpickler: Any = pickle._Unpickler


class PlainUnpickler(_Unpickler):
    """An unpickler of containers, numbers, texts and numpy arrays.

    Attributes:
        names (dict[str, Any]): What the names in a pickle stand for; all
            others raise an InputError. Subclasses may have more.
    """

    names: Dict[str, Any] = {
        '_codecs.encode': _encode,
        'numpy.dtype': _dtype,
        # the class of a new array, not to be called
        'numpy.ndarray': None,
        'numpy._core.multiarray._reconstruct': _new_array,
        'numpy._core.multiarray.scalar': _scalar,
        'numpy._core.numeric._frombuffer': _core.numeric._frombuffer,
    }
    dispatch = dict(_Unpickler.dispatch)

    def load_build(self) -> None:
        """Set the state of an object, if it can do no harm."""
        target, state = self.stack[-2:]
        if callable(target):
            raise InputError('refused: a state of a function or class')
        if isinstance(target, np.dtype):
            _check_dtype_state(target, state)
        elif isinstance(target, np.ndarray):
            _check_array_state(state)
        super().load_build()

    def load_bytearray8(self) -> None:
        """Read bytes that are there; Python's own reserves any size."""
        size = int.from_bytes(self.read(8), 'little')
        self.append(bytearray(self.read(size)))

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the table, never in a module."""
        full = f'{_MOVED.get(module, module)}.{name}'
        if full not in self.names:
            raise InputError(f'refused: it asks for {full[:80]}')
        return self.names[full]
