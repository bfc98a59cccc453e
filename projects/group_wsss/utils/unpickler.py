# Copyright (c) group_wsss contributors. All rights reserved.
"""An unpickler that knows what a checkpoint may hold, and no other name."""
import _codecs
import argparse
import collections
import pickle
import re
from typing import Any, Callable, Dict, Tuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .errors import InputError

try:
    from numpy._core import multiarray
except ImportError:  # numpy < 2
    from numpy.core import multiarray  # type: ignore[no-redef]


def _encode(text: str, encoding: str) -> bytes:
    """How protocol 2 spells ``bytes``."""
    if encoding != 'latin1':
        raise InputError(f'refused: encode to {encoding}')
    return _codecs.encode(text, encoding)


def _history_method(owner: type, name: str) -> Callable:
    """The one use of ``getattr`` that HistoryBuffer's state makes."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current',
                                                  'mean'):
        raise InputError(f'refused: attribute {name} of {owner}')
    return getattr(owner, name)


# numbers and texts of fixed length; 'O' and records hold pointers
_DTYPE = re.compile(r'[biufcSU]\d{1,9}')


def _dtype(code: str, *_: Any) -> np.dtype:
    """A type of numbers or texts, a copy of its own."""
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise InputError(f'refused: an array of type {str(code)[:40]!r}')
    return np.dtype(code, copy=True)


def _check_dtype_state(kind: np.dtype, state: Any) -> None:
    """A state may set the byte order and nothing else.

    numpy believes the flags and sizes in it, which decide whether bytes of
    the file are taken for addresses of objects.
    """
    size, align, flags = dict(
        S=(kind.itemsize, 1, 0),
        U=(kind.itemsize, 4, 8)).get(kind.kind, (-1, -1, 0))
    rest = (None, None, None, size, align, flags)
    if state not in [(3, order, *rest) for order in '<>|=']:
        raise InputError(f'refused: a state of type {kind}')


class _Array:
    """Stands for ``numpy.ndarray``: a name that cannot be called."""


def _new_array(kind: Any, *_: Any) -> Any:
    """An empty array, which its state will fill."""
    if kind is not _ARRAY:
        raise InputError('refused: an array of another class')
    return multiarray._reconstruct(np.ndarray, (0, ), b'b')


def _scalar(kind: Any, *data: Any) -> Any:
    """A number of numpy."""
    if not isinstance(kind, np.dtype):
        raise InputError('refused: a number without a type')
    return multiarray.scalar(kind, *data)


_ARRAY = _Array()
_ALLOWED: Dict[Tuple[str, str], Any] = {
    ('_codecs', 'encode'): _encode,
    ('argparse', 'Namespace'): argparse.Namespace,
    ('builtins', 'bytearray'): bytearray,
    ('builtins', 'complex'): complex,
    ('builtins', 'frozenset'): frozenset,
    ('builtins', 'getattr'): _history_method,
    ('builtins', 'set'): set,
    ('builtins', 'slice'): slice,
    ('collections', 'Counter'): collections.Counter,
    ('collections', 'OrderedDict'): collections.OrderedDict,
    ('collections', 'defaultdict'): collections.defaultdict,
    ('collections', 'deque'): collections.deque,
    ('mmengine.logging.history_buffer', 'HistoryBuffer'): HistoryBuffer,
    ('numpy', 'dtype'): _dtype,
    ('numpy', 'ndarray'): _ARRAY,
    ('numpy._core.multiarray', '_reconstruct'): _new_array,
    ('numpy._core.multiarray', 'scalar'): _scalar,
    ('torch', 'Size'): torch.Size,
    ('torch', 'Tensor'): torch.Tensor,
    ('torch', 'device'): torch.device,
    ('torch._utils', '_rebuild_parameter'): torch._utils._rebuild_parameter,
    ('torch._utils', '_rebuild_tensor'): torch._utils._rebuild_tensor,
    ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
    ('torch.nn.parameter', 'Parameter'): torch.nn.Parameter,
}
# as Python 2 and numpy 1 wrote the same things
_MOVED = {
    '__builtin__': 'builtins',
    'numpy.core.multiarray': 'numpy._core.multiarray'
}

# typeshed knows the one in C alone
_Base: Any = getattr(pickle, '_Unpickler')


class WeightsUnpickler(_Base):
    """An unpickler that knows nothing but ``_ALLOWED``.

    The one that is written in Python: states can be looked at before they
    are set.
    """

    dispatch = dict(_Base.dispatch)

    def load_build(self) -> None:
        """Set the state of an object, if it can do no harm."""
        state, target = self.stack[-1], self.stack[-2]
        if isinstance(target, np.dtype):
            _check_dtype_state(target, state)
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the table, never in a module."""
        key = (_MOVED.get(module, module), name)
        if key in _ALLOWED:
            return _ALLOWED[key]
        dtype = getattr(torch, name, None) if module == 'torch' else None
        if isinstance(dtype, torch.dtype):
            return dtype
        raise InputError(f'refused: it asks for {module}.{name}')
