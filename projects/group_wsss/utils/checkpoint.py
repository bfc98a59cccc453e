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
import logging
import os
import os.path as osp
import re
import tarfile
import types
import zipfile
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import urlsplit

import torch
import torch.nn as nn
from mmengine.dist import barrier
from mmengine.logging import HistoryBuffer, print_log
from mmengine.model import BaseTTAModel, PretrainedInit, is_model_wrapper
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (get_deprecated_model_names,
                                        get_external_models,
                                        get_torchvision_models)

from .compact import SUFFIX, left_out, read_compact
from .download import check_scheme, fetch, sha256_in, verify
from .errors import InputError
from .unpickler import PlainUnpickler


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
_MISMATCH = re.compile(r'size mismatch for (\S+): .*?torch\.Size\(\[(.*?)\]\)'
                       r'.*?torch\.Size\(\[(.*?)\]\)')
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


def load_weights(model: nn.Module, checkpoint: dict, filename: str) -> None:
    """Fill a model and refuse a checkpoint that does not fit.

    mmengine only warns about weights of another shape or weights that are
    missing, and goes on with random ones. Here torch's own rules hold, which
    honour conversions by modules; weights that the model has no use for are
    left out.

    Args:
        model (nn.Module): The model; wrappers are looked through.
        checkpoint (dict): With ``state_dict``, or that itself.
        filename (str): Its file, for messages.

    Raises:
        InputError: One line with the first weight that does not fit.
    """
    _, missing, other = _fill(model, checkpoint_weights(checkpoint), filename)
    for key, there, here in other:
        raise InputError(f'{filename}: does not fit the config: {key} is '
                         f'({there}) in the checkpoint and ({here}) in the '
                         'model')
    known = tuple(left_out(checkpoint, model.state_dict(), filename))
    missing = [key for key in missing if not key.startswith(known)]
    if missing:
        raise InputError(f'{filename}: does not fit the config: {missing[0]} '
                         f'is not in the checkpoint ({len(missing)} weights '
                         'are missing)')


def load_some_weights(model: nn.Module, weights: Dict[str, Any],
                      filename: str) -> None:
    """Fill a model as far as a file goes, and refuse one that fits nowhere.

    The rest of the model is as it was; a warning counts it.

    Args:
        model (nn.Module): The model; wrappers are looked through.
        weights (dict): Weights by name; others are left out.
        filename (str): Their file, for messages.

    Raises:
        InputError: Not one of them is a weight of the model.
    """
    total, missing, other = _fill(model, weights, filename)
    rest = [*missing, *(key for key, _, _ in other)]
    if total and len(rest) == total:
        raise InputError(f'{filename}: none of its weights is one of the '
                         f'model (which has {rest[0]}, the file has '
                         f'{next(iter(weights), "nothing")})')
    if rest:
        print_log(
            f'{filename}: {total - len(rest)} of {total} weights of the '
            f'model are taken from it, {len(missing)} are not in it and '
            f'{len(other)} have another shape, first {rest[0]}',
            logger='current',
            level=logging.WARNING)


def checkpoint_weights(checkpoint: dict) -> Dict[str, Any]:
    """Weights by name, whatever a model was wrapped in.

    Args:
        checkpoint (dict): With ``state_dict``, or that itself.

    Returns:
        dict: The weights.
    """
    return {
        re.sub(r'^module\.', '', str(key)): value
        for key, value in checkpoint.get('state_dict', checkpoint).items()
    }


def _fill(model: nn.Module, weights: Dict[str, Any],
          filename: str) -> Tuple[int, List[str], List[Tuple[str, str, str]]]:
    """Fill a model with the weights that fit.

    Returns:
        tuple: Number of its weights; names of those that the file has not;
        name, shape there and shape here of those that differ.
    """
    net: Any = model
    while is_model_wrapper(net) or isinstance(net, BaseTTAModel):
        if hasattr(net, 'set_state_dict_type'):
            break  # FSDP alone knows what it has split
        net = net.module
    seen: Dict[str, List[str]] = {}

    def look(state: Any, prefix: str, meta: Any, strict: bool,
             missing: List[str], unexpected: List[str],
             errors: List[str]) -> None:
        """Keep the lists that torch fills later on."""
        seen.update(missing=missing, errors=errors)

    handle = net._register_load_state_dict_pre_hook(look)
    try:
        net.load_state_dict(weights, strict=False)
    except InputError as error:  # a module refuses by itself
        raise InputError(f'{filename}: {error}') from error
    except RuntimeError as error:
        if 'size mismatch for' not in str(error):
            raise
    finally:
        handle.remove()
    other: List[Any] = [
        found.groups() for found in map(_MISMATCH.search, seen['errors'])
        if found is not None
    ]
    missing, own = ([key for key in keys if 'num_batches_tracked' not in key]
                    for keys in (seen['missing'], net.state_dict()))
    return len(own), missing, other


class CheckedPretrainedInit(PretrainedInit):
    """mmengine's ``Pretrained``, by :func:`load_some_weights`."""

    def __call__(self, module: nn.Module) -> None:
        """Fill a module.

        Args:
            module (nn.Module): The one with the ``init_cfg``.

        Raises:
            InputError: See :func:`load_some_weights`.
        """
        checkpoint = CheckpointLoader.load_checkpoint(
            self.checkpoint, map_location=self.map_location)
        weights, prefix = checkpoint_weights(checkpoint), self.prefix or ''
        prefix += '.' if prefix and not prefix.endswith('.') else ''
        part = {
            key[len(prefix):]: value
            for key, value in weights.items() if key.startswith(prefix)
        }
        load_some_weights(module, part, self.checkpoint)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())


def checkpoint_classes(checkpoint: dict) -> Optional[Tuple[str, ...]]:
    """Class names that a checkpoint of mmengine or its forerunners carries.

    Args:
        checkpoint (dict): The checkpoint.

    Returns:
        tuple[str, ...], optional: As the data set of its training had them.
    """
    meta = checkpoint.get('meta', None) or {}
    names = (meta.get('dataset_meta', None) or {}).get('classes', None)
    names = names or meta.get('CLASSES', None)
    return tuple(names) if names else None
