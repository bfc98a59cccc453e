# Copyright (c) group_wsss contributors. All rights reserved.
"""Small files of trained weights, without the backbone that a package has."""
import hashlib
import json
import os.path as osp
from typing import Any, Dict, Sequence

import torch
from torch import Tensor

from .errors import InputError, describe
from .files import atomic_write

SUFFIX = '.safetensors'
_BACKBONE = 'backbone.'


def digest(weights: Dict[str, Tensor], prefix: str) -> str:
    """Give the SHA-256 of the weights below a prefix.

    Args:
        weights (dict[str, Tensor]): By name.
        prefix (str): Of the names.

    Returns:
        str: Of names and float32 values, in the order of the names.
    """
    found = hashlib.sha256()
    for name in sorted(weights):
        if name.startswith(prefix):
            found.update(name.encode())
            value = weights[name].detach().cpu().float().contiguous()
            found.update(value.numpy().tobytes())
    return found.hexdigest()


def write_compact(path: str,
                  weights: Dict[str, Tensor],
                  classes: Sequence[str],
                  unused: Sequence[str] = ()) -> None:
    """Write weights in float16, as safetensors, without the backbone.

    The config brings its weights; their digest is kept and compared when the
    file is loaded.

    Args:
        path (str): Ends in ``.safetensors``.
        weights (dict[str, Tensor]): All of a network.
        classes (Sequence[str]): Its class names.
        unused (Sequence[str]): Prefixes that are left out, because no
            prediction needs them. Defaults to none.
    """
    from safetensors.torch import save
    kept = {
        name: value.half() if value.dtype == torch.float32 else value
        for name, value in weights.items()
        if not name.startswith((_BACKBONE, *unused))
    }
    meta = dict(
        classes=json.dumps(list(classes)),
        same=json.dumps({_BACKBONE: digest(weights, _BACKBONE)}),
        unused=json.dumps(list(unused)))
    atomic_write(path, save(kept, meta))


def read_compact(path: str) -> Dict[str, Any]:
    """Read what :func:`write_compact` wrote; other safetensors as well.

    Args:
        path (str): The file.

    Returns:
        dict: As a checkpoint, in float32: ``state_dict``, ``meta`` with the
        class names, ``same`` (digests by prefix) and ``unused``.

    Raises:
        InputError: It cannot be read.
    """
    try:
        from safetensors import safe_open
        with safe_open(path, 'pt') as file:
            meta = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}
        classes = json.loads(meta.get('classes', '[]'))
        same = json.loads(meta.get('same', '{}'))
        unused = json.loads(meta.get('unused', '[]'))
    except ImportError as error:
        raise InputError(f'{path}: needs `pip install safetensors`') from error
    except Exception as error:
        raise InputError(f'{path}: cannot be read as safetensors '
                         f'({describe(error)})') from error
    return dict(
        state_dict={
            name: value.float() if value.dtype == torch.float16 else value
            for name, value in weights.items()
        },
        meta=dict(dataset_meta=dict(classes=tuple(classes))),
        same=same,
        unused=unused)


def left_out(checkpoint: Dict[str, Any], weights: Dict[str, Tensor],
             filename: str) -> Sequence[str]:
    """Tell which weights of a network a checkpoint may lack.

    Args:
        checkpoint (dict): Any one.
        weights (dict[str, Tensor]): Of the network that it fills.
        filename (str): Its file, for messages.

    Returns:
        Sequence[str]: Prefixes; none for a checkpoint that is not compact.

    Raises:
        InputError: The network does not have what the file counts on.
    """
    for prefix, wanted in checkpoint.get('same', {}).items():
        if digest(weights, prefix) != wanted:
            raise InputError(
                f'{osp.basename(filename)}: was trained on other weights of '
                f'{prefix.strip(".")} than the config brings')
    return (*checkpoint.get('same', ()), *checkpoint.get('unused', ()))
