# Copyright (c) group_wsss contributors. All rights reserved.
"""Trained networks that refiners ask."""
from typing import Any, Callable, Optional, Sequence, Tuple, Union

import numpy as np
import torch.nn as nn
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

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


def shrunk(shape: Tuple[int, ...], pixels: int) -> Tuple[int, int]:
    """Height and width of an image, made smaller if it has more pixels."""
    height, width = shape[:2]
    shrink = min(1.0, (pixels / (height * width))**0.5)
    return max(1, int(height * shrink)), max(1, int(width * shrink))


def image_pipeline(steps: Sequence[dict],
                   scope: str) -> Callable[[np.ndarray], dict]:
    """The steps of a config for an image in memory.

    Args:
        steps (Sequence[dict]): Those that load files are left out.
        scope (str): Of the config.

    Returns:
        Callable: From uint8 RGB ``(H, W, 3)`` to what the last step packs.
    """
    with DefaultScope.overwrite_default_scope(scope):
        run = Compose([step for step in steps if 'Load' not in step['type']])
    return lambda image: run(
        dict(
            img=np.ascontiguousarray(image[:, :, ::-1]),
            img_path=None,
            img_shape=image.shape[:2],
            ori_shape=image.shape[:2],
            reduce_zero_label=False,
            seg_fields=[]))
