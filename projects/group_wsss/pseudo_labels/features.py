# Copyright (c) group_wsss contributors. All rights reserved.
"""Features of the backbone of stage 1."""
from typing import Any, Optional, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DefaultScope

from ..utils.errors import InputError
from .refiners.network import load_network


class BackboneFeatures:
    """Images in, maps of the backbone of a ``GroupCAM`` out.

    Args:
        config (str | dict): Config of stage 1, or its path.
        checkpoint (str): Its weights; read without running code.
        device (str, optional): Defaults to None, a GPU if there is one.
        keys (bool): Give the keys of co-attention instead, of length 1, which
            compare positions of different images; the features themselves
            where the model has no whitened or contrast keys. Defaults to
            False.

    Raises:
        InputError: A file is missing or does not fit, or another model.
    """

    def __init__(self,
                 config: Union[str, dict],
                 checkpoint: str,
                 device: Optional[str] = None,
                 keys: bool = False) -> None:
        net, cfg, _ = load_network(config, checkpoint, 'BackboneFeatures')
        self.net: Any = net.to(torch.device(device or get_device()))
        data = cfg.get('test_dataloader') or {}
        while isinstance(data, dict) and 'dataset' in data:
            data = data['dataset']
        if not hasattr(net, 'backbone_maps') or not data.get('pipeline'):
            raise InputError('config of BackboneFeatures must be that of '
                             'stage 1, with a test_dataloader; its model is '
                             f'{type(net).__name__}')
        coattention = getattr(net.neck, 'coattention', None)
        self.whiten = getattr(coattention, 'whiten', None) if keys else None
        self.scope = cfg.get('default_scope', 'mmpretrain')
        with DefaultScope.overwrite_default_scope(self.scope):
            self.pipeline = Compose([
                step for step in data['pipeline'] if 'Load' not in step['type']
            ])

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Features of an image.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            np.ndarray: float32 ``(C, h, w)``.
        """
        shape = image.shape[:2]
        data = dict(
            img=np.ascontiguousarray(image[:, :, ::-1]),
            img_shape=shape,
            ori_shape=shape)
        with DefaultScope.overwrite_default_scope(self.scope):
            batch = pseudo_collate([self.pipeline(data)])
            inputs = self.net.data_preprocessor(batch, False)['inputs']
            maps = self.net.backbone_maps(inputs)[0]
            if self.whiten is not None:
                maps = self.whiten(self.net.neck.project(maps))
                maps = F.normalize(maps, dim=1)
            return maps[0].float().cpu().numpy()
