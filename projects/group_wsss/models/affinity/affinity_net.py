# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, List, Optional, Tuple, Union

import torch
import torch.nn as nn
from mmengine.model import BaseModel
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ..utils import FrozenBackbone


@MODELS.register_module()
class AffinityNet(FrozenBackbone, BaseModel):
    """Learns from confident seeds which neighbouring cells belong together.

    AffinityNet of PSA (Ahn and Kwak, CVPR 2018): a backbone, and a head
    whose embedding tells the affinity of two cells. It is trained on the
    seed labels of a dump (``group_wsss.LoadSeeds``), never on masks;
    ``group_wsss.RandomWalk`` spreads class maps by what it has learned.

    Args:
        backbone (dict | nn.Module): Any backbone that returns maps
            ``(B, C, h, w)`` of several levels.
        head (dict | nn.Module): Such as ``group_wsss.AffinityHead``.
        freeze_backbone (bool): Keep the backbone as it is: no gradients,
            eval mode even while training. Defaults to True, since few
            images are soon overfitted.
        data_preprocessor (dict, optional): Such as
            ``mmseg.SegDataPreProcessor``. Defaults to None.
        init_cfg (dict, optional): Initialization config. Defaults to None.
    """

    def __init__(self,
                 backbone: Union[dict, nn.Module],
                 head: Union[dict, nn.Module],
                 freeze_backbone: bool = True,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone: Any = backbone if isinstance(
            backbone, nn.Module) else MODELS.build(backbone)
        self.head: Any = head if isinstance(head,
                                            nn.Module) else MODELS.build(head)
        self.set_frozen(freeze_backbone)

    def forward(self,
                inputs: Tensor,
                data_samples: Optional[List[Any]] = None,
                mode: str = 'tensor') -> Union[Tensor, List[Tensor], Dict]:
        """Embeddings or losses.

        Args:
            inputs (Tensor): ``(B, 3, H, W)``, preprocessed.
            data_samples (list, optional): With ``seeds``, ``PixelData`` of
                ``(1, H, W)``; for ``mode='loss'``. Defaults to None.
            mode (str): ``'tensor'``: the embedding ``(B, C, h, w)``;
                ``'predict'``: a list with that of each image; ``'loss'``: a
                dict of losses. Defaults to ``'tensor'``.

        Returns:
            Tensor, list[Tensor] or dict: As ``mode`` says.

        Raises:
            InputError: Samples without seeds, or a backbone without levels.
        """
        feats = self.extract_feat(inputs)
        if mode == 'loss':
            return self.head.loss(feats, inputs, self._seeds(data_samples))
        embedding = self.head(feats, inputs)
        if mode == 'predict':
            return list(embedding)
        if mode != 'tensor':
            raise InputError(f"mode of AffinityNet is '{mode}', must be "
                             "'tensor', 'predict' or 'loss'")
        return embedding

    def extract_feat(self, inputs: Tensor) -> Tuple[Tensor, ...]:
        """Levels of the backbone.

        Args:
            inputs (Tensor): ``(B, 3, H, W)``.

        Returns:
            tuple[Tensor]: ``(B, C_l, h_l, w_l)``.
        """
        feats = self.run_backbone(inputs)
        feats = (feats, ) if isinstance(feats, Tensor) else tuple(feats)
        last = max(*self.head.in_index, self.head.grid_index)
        if len(feats) <= last:
            raise InputError(
                f'backbone {type(self.backbone).__name__} gives {len(feats)} '
                f'levels, AffinityHead wants number {last}')
        return feats

    @staticmethod
    def _seeds(data_samples: Optional[List[Any]]) -> Tensor:
        if not data_samples or any('seeds' not in s for s in data_samples):
            raise InputError('data samples of AffinityNet carry no seeds: '
                             'end the pipeline with group_wsss.LoadSeeds and '
                             'group_wsss.PackSeeds')
        return torch.cat([sample.seeds.data for sample in data_samples])
