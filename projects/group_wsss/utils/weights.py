# Copyright (c) group_wsss contributors. All rights reserved.
"""What a checkpoint holds, and how a model is filled with it."""
import copy
import logging
import re
from typing import Any, Dict, List, Optional, Tuple

import torch.nn as nn
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, PretrainedInit, is_model_wrapper
from mmengine.model.weight_init import update_init_info
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader

from ..registry import MODELS
from .compact import left_out
from .config import scope_of, walk
from .errors import InputError

_MISMATCH = re.compile(r'size mismatch for (\S+): .*?torch\.Size\(\[(.*?)\]\)'
                       r'.*?torch\.Size\(\[(.*?)\]\)')


def build_network(cfg: Any, checkpoint: dict, weights: str,
                  num_classes: Optional[int]) -> nn.Module:
    """Build the model of a config and fill in its weights.

    Args:
        cfg (mmengine.Config | dict): With ``model``.
        checkpoint (dict): Its trained weights.
        weights (str): Their path, for messages.
        num_classes (int, optional): Takes the place of
            ``num_classes='from_data'``.

    Returns:
        nn.Module: In eval mode, on the CPU.

    Raises:
        InputError: The weights do not fit.
    """
    model = copy.deepcopy(cfg['model'])
    # mmpretrain's configs have it beside the model, as their runner knows
    if cfg.get('data_preprocessor', None):
        model.setdefault('data_preprocessor', cfg['data_preprocessor'])
    for _, node in walk(model):
        if isinstance(node, dict) and node.get('num_classes') == 'from_data':
            node['num_classes'] = num_classes
    with DefaultScope.overwrite_default_scope(scope_of(cfg)):
        net = MODELS.build(model)
    load_weights(net, checkpoint, weights)
    return net.eval()


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
