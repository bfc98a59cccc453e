# Copyright (c) group_wsss contributors. All rights reserved.
from typing import List, Optional, Tuple

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

from ...models import GroupCAM
from ...models.utils import (GroupMaps, Inputs, anchors_of, join_maps,
                             losses_of, multi_hot)
from ...registry import MODELS


@MODELS.register_module()
class SEAMGroupCAM(GroupCAM):
    """``GroupCAM`` whose maps of an image and of a smaller view agree.

    Training also sees every image made smaller, in the same groups. Losses
    of the head are the mean of both views; ``loss_er`` and ``loss_ecr`` of
    ``EquivarianceLoss`` are added. Source: SEAM (Wang et al., CVPR 2020).

    Args:
        *args: Of ``GroupCAM``.
        equivariance (dict, optional): Options of
            ``group_wsss.EquivarianceLoss``. Defaults to None.
        **kwargs: Of ``GroupCAM``.
    """

    def __init__(self,
                 *args,
                 equivariance: Optional[dict] = None,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.equivariance = MODELS.build({
            'type': 'group_wsss.EquivarianceLoss',
            **(equivariance or {})
        })

    def loss(self, inputs: Inputs, data_samples: List[DataSample]) -> dict:
        """Calculate the losses of both views.

        Args:
            inputs (Tensor | Sequence[Tensor]): See ``GroupCAM.forward``.
            data_samples (list[DataSample]): See ``GroupCAM.loss``.

        Returns:
            dict[str, Tensor]: See ``GroupCAM.loss``; also ``loss_er`` and,
            unless its weight is 0, ``loss_ecr``.
        """
        feats = self.backbone_maps(inputs)
        large = self.relate(feats, inputs, data_samples)
        losses = losses_of(self.neck, self.head, large, data_samples)
        if self.attach_class_maps:
            with torch.no_grad():
                self.head.predict(large, data_samples, map_source='mean')
        # sizes of its maps are others
        samples = [sample.new() for sample in data_samples]
        small_feats = self.backbone_maps(self.equivariance.shrink(inputs))
        small = self.relate(small_feats, inputs, samples)
        if self.equivariance.map_source == 'cam':  # no graph for this view
            small = GroupMaps(small.before, small.before)
        alone = small.after is small.before
        # a view without a graph has its one loss at weight 1
        weight = 1.0
        if alone and large.after is not large.before:
            weight = self.head.cam_weight
        for name, value in self.head.loss(small, samples).items():
            losses[name] = (losses[name] + weight * value) / 2
        views = [
            self._view(large, feats, data_samples),
            self._view(small, small_feats, samples)
        ]
        target = multi_hot(data_samples, self.head.num_classes,
                           feats[0].device)
        return dict(losses, **self.equivariance(*views, target))

    def _view(
        self, maps: GroupMaps, feats: List[Tensor], samples: List[DataSample]
    ) -> Tuple[Tensor, Tensor, Optional[List[Tuple[int, int]]]]:
        """Class maps, features and sizes, as ``EquivarianceLoss`` reads."""
        place = -1 if self.equivariance.map_source == 'graph' else 0
        logits = self.head.branches(maps)[place].logits
        sizes = None
        if 'map_shape' in samples[0]:
            sizes = [sample.map_shape for sample in samples]
        return logits, join_maps(feats), sizes

    @torch.no_grad()
    def predict(self,
                inputs: Inputs,
                data_samples: Optional[List[DataSample]] = None,
                **kwargs) -> List[DataSample]:
        """Predict as ``GroupCAM``; refine the maps if ``refine`` is set.

        Args:
            inputs (Tensor | Sequence[Tensor]): See ``GroupCAM.forward``.
            data_samples (list[DataSample], optional): See
                ``GroupCAM.predict``.
            **kwargs: Of ``GroupCAMHead.predict``.

        Returns:
            list[DataSample]: One for each group.
        """
        if not self.equivariance.refine:
            return super().predict(inputs, data_samples, **kwargs)
        if data_samples is None:
            data_samples = [DataSample() for _ in range(len(inputs))]
        feats = self.backbone_maps(inputs)
        maps = self.relate(feats, inputs, data_samples, anchors_only=True)
        samples = self.head.predict(maps, data_samples, **kwargs)
        anchors = []
        for i in anchors_of(samples):
            sample = samples[i]
            h, w = sample.class_maps.shape[-2:]
            feat = feats[0][i] if len(feats) == 1 else feats[i][0]
            sample.class_maps = self.equivariance.refine_maps(
                sample.class_maps, feat[:, :h, :w])
            anchors.append(sample)
        return anchors
