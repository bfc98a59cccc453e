# Copyright (c) group_wsss contributors. All rights reserved.
"""Trained networks that refiners ask."""
import copy
from typing import Any, Optional, Tuple, Union

import torch.nn as nn
from mmengine.registry import DefaultScope

from ...registry import MODELS
from ...utils.checkpoint import (checkpoint_classes, load_from_file,
                                 load_weights)
from ...utils.config import read_config, walk
from ...utils.errors import InputError


def load_network(config: Union[str, dict], checkpoint: str,
                 owner: str) -> Tuple[nn.Module, dict, Optional[tuple]]:
    """Build the ``model`` of a config and fill in its weights.

    Args:
        config (str | dict): Config, or its path.
        checkpoint (str): Its trained weights; read without running code.
        owner (str): Who asks, for messages.

    Returns:
        tuple[nn.Module, dict, tuple[str] | None]: In eval mode; the config;
        class names, if the checkpoint has them.

    Raises:
        InputError: A file is missing or damaged, or the weights do not fit.
    """
    weights = load_from_file(checkpoint, map_location='cpu')
    names = checkpoint_classes(weights)
    cfg: Any = read_config(config) if isinstance(config, str) else config
    if 'model' not in cfg:
        raise InputError(f'config of {owner} has no model')
    model = copy.deepcopy(cfg['model'])
    for _, node in walk(model):
        if isinstance(node, dict) and node.get('num_classes') == 'from_data':
            node['num_classes'] = len(names or ())
    scope = cfg.get('default_scope', 'group_wsss')
    with DefaultScope.overwrite_default_scope(scope):
        net = MODELS.build(model)
    load_weights(net, weights, checkpoint)
    return net.eval(), cfg, names
