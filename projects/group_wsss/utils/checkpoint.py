# Copyright (c) group_wsss contributors. All rights reserved.
"""Read checkpoints without running code that they carry.

A checkpoint is a pickle, and a pickle may call anything. mmengine reads it
with ``weights_only=False`` below torch 2.6 and falls back to that above, so
``SafeLoadingHook`` replaces mmengine's file loader by the one below. It works
alike on every torch version: only the names that weights, optimizer states
and mmengine's message hub need can be looked up.
"""
import argparse
import collections
import os
import os.path as osp
import tarfile
import types
import zipfile
from typing import Any, Callable
from urllib.parse import urlsplit

import torch
import torch.nn as nn
from mmengine.dist import barrier
from mmengine.logging import HistoryBuffer
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (get_deprecated_model_names,
                                        get_external_models,
                                        get_torchvision_models)

from .compact import SUFFIX, read_compact
from .download import check_scheme, fetch, sha256_in, verify
from .errors import InputError, describe
from .unpickler import PlainUnpickler
from .weights import CheckedPretrainedInit


def _history_method(owner: type, name: str) -> Callable:
    """The one use of ``getattr`` that HistoryBuffer's state makes."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current',
                                                  'mean'):
        raise InputError(f'refused: attribute {name} of {owner}')
    return getattr(owner, name)


class _Unpickler(PlainUnpickler):
    """An unpickler that knows the parts of a checkpoint besides."""

    names = {
        **PlainUnpickler.names,
        'argparse.Namespace': argparse.Namespace,
        'builtins.bytearray': bytearray,
        'builtins.complex': complex,
        'builtins.frozenset': frozenset,
        'builtins.getattr': _history_method,
        'builtins.set': set,
        'builtins.slice': slice,
        'collections.Counter': collections.Counter,
        'collections.OrderedDict': collections.OrderedDict,
        'collections.defaultdict': collections.defaultdict,
        'collections.deque': collections.deque,
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        'torch.Size': torch.Size,
        'torch.Tensor': torch.Tensor,
        'torch.device': torch.device,
        'torch._utils._rebuild_parameter': torch._utils._rebuild_parameter,
        'torch._utils._rebuild_tensor': torch._utils._rebuild_tensor,
        'torch._utils._rebuild_tensor_v2': torch._utils._rebuild_tensor_v2,
        'torch.nn.parameter.Parameter': nn.Parameter,
        **{
            f'torch.{name}': value
            for name, value in vars(torch).items() if isinstance(
                value, torch.dtype)
        },
    }


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
        filename (str): A file written by ``torch.save``, or in the format
            of safetensors, see :func:`.compact.write_compact`.
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
    if path.endswith(SUFFIX):
        return read_compact(path)
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
        raise InputError(f'{filename}: cannot be read as a checkpoint '
                         f'({describe(error)})') from error
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
    """Make mmengine read files and addresses by the loaders above.

    ``init_cfg=dict(type='Pretrained')`` is then that of
    :class:`CheckedPretrainedInit`.
    """
    WEIGHT_INITIALIZERS.register_module(
        name='Pretrained', force=True, module=CheckedPretrainedInit)
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
