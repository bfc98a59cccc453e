# Copyright (c) group_wsss contributors. All rights reserved.
"""Trained networks that refiners ask."""
from typing import Any, Optional, Tuple, Union

import torch.nn as nn

from ...utils.checkpoint import load_from_file
from ...utils.config import read_config
from ...utils.errors import InputError
from ...utils.weights import build_network, checkpoint_classes


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
    net = build_network(cfg, weights, checkpoint, len(names or ()))
    return net, cfg, names
