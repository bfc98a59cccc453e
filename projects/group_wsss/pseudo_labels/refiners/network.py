# Copyright (c) group_wsss contributors. All rights reserved.
"""Trained networks that refiners ask."""
from types import SimpleNamespace
from typing import Any, Tuple, Union

from mmengine.config import Config
from mmengine.registry import DefaultScope

from ...registry import MODELS
from ...utils.checkpoint import StateDictCheckHook, load_from_file
from ...utils.errors import InputError, one_line


def load_network(config: Union[str, dict], checkpoint: str,
                 owner: str) -> Tuple[Any, dict]:
    """Build the ``model`` of a config and fill in its weights.

    Args:
        config (str | dict): Config, or its path.
        checkpoint (str): Its trained weights; read without running code.
        owner (str): Who asks, for messages.

    Returns:
        tuple[nn.Module, dict]: In eval mode, and the config.

    Raises:
        InputError: A file is missing or damaged, or the weights do not fit.
    """
    weights = load_from_file(checkpoint, map_location='cpu')
    try:
        cfg: Any = (
            Config.fromfile(config) if isinstance(config, str) else config)
    except (OSError, SyntaxError) as error:
        raise InputError(f'{config}: {one_line(error)}') from None
    if 'model' not in cfg:
        raise InputError(f'config of {owner} has no model')
    scope = cfg.get('default_scope', 'group_wsss')
    with DefaultScope.overwrite_default_scope(scope):
        net = MODELS.build(cfg['model'])
    hook = StateDictCheckHook(checkpoint)
    hook.after_load_checkpoint(SimpleNamespace(model=net), weights)
    return net.eval(), cfg
