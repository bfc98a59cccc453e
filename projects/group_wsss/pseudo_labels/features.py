# Copyright (c) group_wsss contributors. All rights reserved.
"""Features of the backbone of stage 1."""
from typing import Any, Optional, Tuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DefaultScope

from ..utils.errors import InputError
from .refiners.network import image_pipeline, load_network


class BackboneFeatures:
    """Images in, maps of the backbone of a ``GroupCAM`` out.

    Args:
        config (str | dict): Config of stage 1, or its path.
        checkpoint (str): Its weights; read without running code.
        device (str, optional): Defaults to None, a GPU if there is one.
        keys (bool): Give the keys of co-attention instead, of length 1, which
            compare positions of different images; the features themselves
            where the model has no whitened or contrast keys, or has seen no
            groups. Defaults to False.

    Attributes:
        supervision (str): Letters of ``Manifest.supervision`` for what the
            network knows beside tags.

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
        self.supervision = ''.join(
            sorted(
                {getattr(part, 'supervision', '')
                 for part in net.modules()}))
        data = cfg.get('test_dataloader') or {}
        while isinstance(data, dict) and 'dataset' in data:
            data = data['dataset']
        if not hasattr(net, 'backbone_maps') or not data.get('pipeline'):
            raise InputError('config of BackboneFeatures must be that of '
                             'stage 1, with a test_dataloader; its model is '
                             f'{type(net).__name__}')
        graph = getattr(getattr(net, 'neck', None), 'coattention', None)
        whiten = getattr(graph, 'whiten', None)
        if whiten is None or not whiten.count:  # trained in groups of one
            keys = False
        self.graph: Any = graph if keys else None
        self.scope = cfg.get('default_scope', 'mmpretrain')
        self.pipeline = image_pipeline(data['pipeline'], self.scope)

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Features of an image.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            np.ndarray: float32 ``(C, h, w)``.
        """
        maps = self.net.backbone_maps(self._inputs(image))[0]
        if self.graph is not None:
            nodes = self.graph.key_input(self.net.neck.project(maps))
            maps = F.normalize(self.graph.whiten(nodes), dim=1)
        return maps[0].float().cpu().numpy()

    @torch.no_grad()
    def attention(self, image: np.ndarray) -> Tuple[np.ndarray, tuple]:
        """What each position of an image attends to.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            tuple[np.ndarray, tuple[int]]: float32 ``(h * w, h * w)``, a row
            for each position, and ``(h, w)``.

        Raises:
            InputError: The backbone does not tell.
        """
        backbone = getattr(self.net.backbone, 'backbone', self.net.backbone)
        if not hasattr(backbone, 'attention_maps'):
            raise InputError(f'{type(backbone).__name__} gives no '
                             "attention maps: DenseCLIP does, take "
                             "affinity='features' for others")
        maps, size = backbone.attention_maps(self._inputs(image))
        return maps[0].float().cpu().numpy(), size

    def _inputs(self, image: np.ndarray) -> torch.Tensor:
        """The image as the network wants it, ``(1, 3, H, W)``."""
        with DefaultScope.overwrite_default_scope(self.scope):
            batch = pseudo_collate([self.pipeline(image)])
            return self.net.data_preprocessor(batch, False)['inputs']
