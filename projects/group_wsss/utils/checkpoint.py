# Copyright (c) group_wsss contributors. All rights reserved.
"""Read checkpoints without running code that they carry.

A checkpoint is a pickle, and a pickle may call anything. mmengine reads it
with ``weights_only=False`` below torch 2.6 and falls back to that above, so
the tools replace mmengine's file loader by the one below. It works alike on
every torch version: only the names that weights, optimizer states and
mmengine's message hub need can be looked up.
"""
import _codecs
import argparse
import collections
import os
import os.path as osp
import pickle
import re
import tarfile
import types
import zipfile
from typing import Any, Callable, Dict, Tuple
from urllib.parse import urlsplit

import numpy as np
import torch
from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner.checkpoint import (get_deprecated_model_names,
                                        get_external_models,
                                        get_torchvision_models)

from .download import check_scheme, fetch, sha256_in, verify
from .errors import InputError

try:
    from numpy._core import multiarray
except ImportError:  # numpy < 2
    from numpy.core import multiarray


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


def _new_array(kind: Any, *_: Any) -> np.ndarray:
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


class _Unpickler(pickle._Unpickler):
    """An unpickler that knows nothing but ``_ALLOWED``.

    The one that is written in Python: states can be looked at before they
    are set.
    """

    dispatch = dict(pickle._Unpickler.dispatch)

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


def _load(file: Any, **kwargs: Any) -> Any:
    return _Unpickler(file, **kwargs).load()


# bytes in an archive for each byte of its file
_MAX_RATIO = 10
# what torch.load wants of a pickle module
_PICKLE = types.SimpleNamespace(
    __name__='group_wsss.utils.checkpoint', Unpickler=_Unpickler, load=_load)


def load_from_file(filename: str, map_location: Any = None) -> dict:
    """Read a checkpoint without executing code.

    Args:
        filename (str): A file written by ``torch.save``.
        map_location (optional): As in ``torch.load``. Defaults to None.

    Returns:
        dict: The checkpoint, or a bare state dict.

    Raises:
        InputError: No such file, not a checkpoint, or one that asks for
            anything beyond tensors, plain containers and numpy arrays.
    """
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise InputError(f'{filename}: no such checkpoint')
    try:
        # torch.load would unpack the one and run the other
        if tarfile.is_tarfile(path):
            raise InputError('refused: a tar archive')
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
            if any(
                    osp.basename(member.filename) == 'constants.pkl'
                    for member in members):
                raise InputError('refused: a TorchScript program')
            # torch stores, it does not compress
            size = sum(member.file_size for member in members)
            if size > _MAX_RATIO * osp.getsize(path):
                raise InputError(f'refused: {size} bytes once unpacked')
        checkpoint = torch.load(  # nosec B614
            path,
            map_location=map_location,
            pickle_module=_PICKLE,
            weights_only=False)
    except InputError as error:
        raise InputError(
            f'{filename}: not loaded, a checkpoint may hold weights and '
            f'plain values only ({error})') from None
    except Exception as error:
        first = (str(error).strip().splitlines() or [''])[0]
        raise InputError(f'{filename}: cannot be read as a checkpoint '
                         f'({type(error).__name__}: {first})') from error
    if not isinstance(checkpoint, dict):
        raise InputError(f'{filename}: holds a {type(checkpoint).__name__}, '
                         'not a dict of weights')
    return checkpoint


def load_from_url(filename: str, map_location: Any = None) -> dict:
    """Download once, on the first process of each machine, and read safely.

    Args:
        filename (str): ``https://`` address whose name ends in the first
            digits of the SHA-256 (``name-0123abcd.pth``), or with
            ``#sha256=<64 digits>`` behind it.
        map_location (optional): As in ``torch.load``. Defaults to None.

    Raises:
        InputError: Plain http, no checksum or another one, no connection, or
            see :func:`load_from_file`.
    """
    check_scheme(filename)
    sha256 = sha256_in(filename)
    if sha256 is None:
        raise InputError(f'{filename}: its SHA-256 is not known: put '
                         "'#sha256=<64 digits>' behind the address, or "
                         'download and check it yourself')
    url = filename.split('#')[0]
    folder = osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(urlsplit(url).path))
    if int(os.environ.get('LOCAL_RANK', 0)) == 0:
        if osp.isfile(path):
            verify(path, sha256)
        else:
            fetch(url, path, sha256)
    barrier()
    return load_from_file(path, map_location)


def load_from_zoo(filename: str, map_location: Any = None) -> dict:
    """Weights that mmengine knows by a name.

    Args:
        filename (str): ``torchvision://``, ``open-mmlab://`` and a name.
        map_location (optional): As in ``torch.load``. Defaults to None.

    Raises:
        InputError: No such name, or see :func:`load_from_url`.
    """
    scheme, _, name = filename.partition('://')
    if scheme == 'torchvision':
        urls = get_torchvision_models()
    else:
        urls = get_external_models()
        name = get_deprecated_model_names().get(name, name)
    if not str(urls.get(name)).startswith('http'):
        raise InputError(f'{filename}: no weights of this name are known')
    return load_from_url(urls[name], map_location)


def _refuse(filename: str, map_location: Any = None) -> dict:
    raise InputError(f'{filename}: not fetched: only https is')


def use_safe_loading() -> None:
    """Make mmengine read files and addresses by the loaders above."""
    for scheme in list(CheckpointLoader._schemes):
        CheckpointLoader.register_scheme(scheme, _refuse, force=True)
    CheckpointLoader.register_scheme('', load_from_file, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'),
                                     load_from_url,
                                     force=True)
    CheckpointLoader.register_scheme(
        ('torchvision://', 'open-mmlab://', 'openmmlab://'),
        load_from_zoo,
        force=True)


class StateDictCheckHook(Hook):
    """Refuse a checkpoint that does not fit the model.

    mmengine only warns about weights of another shape or weights that are
    missing, and goes on with random ones. The tools register this hook
    wherever every weight has to come from the file: testing and resuming.
    """

    priority = 'VERY_LOW'

    def __init__(self, filename: str) -> None:
        self.filename = filename

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Load by torch's own rules, which honour conversions by modules.

        Raises:
            InputError: One line with the first weight that does not fit.
        """
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        weights = checkpoint.get('state_dict', checkpoint)
        weights = {
            re.sub(r'^module\.', '', key): value
            for key, value in weights.items()
        }
        try:
            missing = model.load_state_dict(weights, strict=False).missing_keys
        except InputError as error:  # a module refuses by itself
            raise InputError(f'{self.filename}: {error}') from error
        except RuntimeError as error:
            found = re.search(
                r'size mismatch for (\S+): .*?torch\.Size\(\[(.*?)\]\)'
                r'.*?torch\.Size\(\[(.*?)\]\)', str(error))
            if found is None:
                raise
            key, there, here = found.groups()
            raise InputError(
                f'{self.filename}: does not fit the config: {key} is '
                f'({there}) in the checkpoint and ({here}) in the model'
            ) from error
        missing = [key for key in missing if 'num_batches_tracked' not in key]
        if missing:
            raise InputError(
                f'{self.filename}: does not fit the config: {missing[0]} is '
                f'not in the checkpoint ({len(missing)} weights are missing)')
