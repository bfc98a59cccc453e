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
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import CheckpointLoader, Runner

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
    ('numpy', 'dtype'): np.dtype,
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy._core.multiarray', '_reconstruct'): multiarray._reconstruct,
    ('numpy._core.multiarray', 'scalar'): multiarray.scalar,
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


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows nothing but ``_ALLOWED``."""

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


# what torch.load wants of a pickle module
_PICKLE = types.SimpleNamespace(
    __name__='group_wsss.checkpoint', Unpickler=_Unpickler, load=_load)


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
                if any(
                        osp.basename(name) == 'constants.pkl'
                        for name in archive.namelist()):
                    raise InputError('refused: a TorchScript program')
        checkpoint = torch.load(
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
        filename (str): ``http://`` or ``https://`` address.
        map_location (optional): As in ``torch.load``. Defaults to None.

    Raises:
        InputError: It cannot be downloaded, or see :func:`load_from_file`.
    """
    folder = osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(urlparse(filename).path))
    if int(os.environ.get('LOCAL_RANK', 0)) == 0 and not osp.isfile(path):
        try:
            os.makedirs(folder, exist_ok=True)
            torch.hub.download_url_to_file(filename, path)
        except OSError as error:
            raise InputError(
                f'{filename}: cannot be downloaded ({error})') from error
    barrier()
    return load_from_file(path, map_location)


def use_safe_loading() -> None:
    """Make mmengine read files and addresses by the loaders above."""
    CheckpointLoader.register_scheme('', load_from_file, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'),
                                     load_from_url,
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
