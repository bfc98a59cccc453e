# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict, Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...models.utils import Inputs, check_choice
from ...registry import MODELS
from ...utils.errors import InputError
from .pixel_correlation import PixelCorrelation

# class maps (B, C, h, w), features (B, D, h, w), sizes without padding
View = Tuple[Tensor, Tensor, Any]


@MODELS.register_module()
class EquivarianceLoss(BaseModule):
    """Class maps of an image and of the same image made smaller agree.

    With ``A`` the maps of the classes given (ReLU, divided by their maximum,
    absent classes 0), ``R`` the resize to the smaller map, and ``P`` the maps
    averaged over positions that look alike (``PixelCorrelation``), background
    ``1 - max A`` included:

    - ``loss_er = mean |R(A_1) - A_2|``
    - ``loss_ecr = top |hot(A_2) - R(P_1)| + top |hot(R(A_1)) - P_2|``,
      ``top`` the mean of the largest values of an image, ``hot`` the maps
      without all classes but the strongest at each position.

    Means go over all classes, the absent ones (whose error is 0) included.
    Source: SEAM (Wang et al., CVPR 2020). With an embedding the second loss
    trains the embedding alone, as published; without one there is nothing to
    train in ``P``, and the class maps are drawn to ``P`` held fixed. Its
    lower-quarter loss, said to move only the best threshold, is left out.

    Args:
        scale (float): Size of the second view, in (0, 1). Defaults to 0.3.
        er_weight (float): Factor of ``loss_er``. Defaults to 1.0.
        ecr_weight (float): Factor of ``loss_ecr``; 0 leaves it out, which is
            better without an embedding where features are frozen
            (docs/benchmarks.md). Defaults to 1.0.
        topk (float): Share of the values that count as largest, in (0, 1].
            Defaults to 0.2.
        in_channels (int, optional): Channels of the features, for an
            embedding. Defaults to None.
        embed_channels (int, optional): Width of the embedding. Defaults to
            None, none.
        map_source (str): ``'graph'``: the second view has the same groups,
            and maps after the graph agree; ``'cam'``: the graph sees the
            first view alone, and maps before it agree. The same without a
            graph. Defaults to ``'graph'``.
        refine (bool): Whether predictions show the averaged maps, as
            published. Defaults to False.

    Raises:
        InputError: If an option has a value that it cannot have.
    """

    def __init__(self,
                 scale: float = 0.3,
                 er_weight: float = 1.0,
                 ecr_weight: float = 1.0,
                 topk: float = 0.2,
                 in_channels: Optional[int] = None,
                 embed_channels: Optional[int] = None,
                 map_source: str = 'graph',
                 refine: bool = False) -> None:
        super().__init__()
        if not 0 < scale < 1 or not 0 < topk <= 1:
            raise InputError('EquivarianceLoss needs scale in (0, 1) and topk '
                             f'in (0, 1], got {scale} and {topk}')
        if embed_channels is not None and not ecr_weight:
            raise InputError('embed_channels of EquivarianceLoss has nothing '
                             'to learn from with ecr_weight=0')
        check_choice('EquivarianceLoss', 'map_source', map_source,
                     ('graph', 'cam'))
        self.scale = scale
        self.er_weight = er_weight
        self.ecr_weight = ecr_weight
        self.topk = topk
        self.map_source = map_source
        self.refine = refine
        self.correlation = PixelCorrelation(in_channels, embed_channels)

    def shrink(self, inputs: Inputs) -> Inputs:
        """The second view.

        Args:
            inputs (Tensor | Sequence[Tensor]): ``(B, 3, H, W)``, or images
                ``(3, H_i, W_i)``.

        Returns:
            Tensor | list[Tensor]: The same, ``scale`` times the size.
        """
        if not isinstance(inputs, Tensor):
            return [self.shrink(image[None])[0] for image in inputs]
        size = [max(round(n * self.scale), 1) for n in inputs.shape[-2:]]
        return F.interpolate(inputs, size, mode='area')

    def forward(self, first: View, second: View,
                target: Tensor) -> Dict[str, Tensor]:
        """Both losses, in full precision also under autocast.

        Args:
            first (tuple): Class maps (logits) ``(B, C, h, w)``, features
                ``(B, D, h, w)``, and the heights and widths of the images'
                own parts, None without padding.
            second (tuple): Those of the smaller view.
            target (Tensor): ``(B, C)``, above 0 for the classes of an image.

        Returns:
            dict[str, Tensor]: Scalars ``loss_er`` and, unless its weight is
            0, ``loss_ecr``.
        """
        if first[2] is None:
            return self._losses(first, second, target)
        # image by image: padding of two sizes has no common grid
        apart = [
            self._losses(
                self._crop(first, i), self._crop(second, i), target[i:i + 1])
            for i in range(len(target))
        ]
        return {
            name: torch.stack([losses[name] for losses in apart]).mean()
            for name in apart[0]
        }

    def refine_maps(self, maps: Tensor, feat: Tensor) -> Tensor:
        """Maps of an image averaged over positions that look alike.

        Args:
            maps (Tensor): Those of its classes, ``(n, h, w)``.
            feat (Tensor): ``(D, h, w)``.

        Returns:
            Tensor: ``(n, h, w)``, in [0, 1].
        """
        if not len(maps):
            return maps
        hot = self._strongest(self._unit(maps[None]))
        return self._unit(self.correlation(hot, feat[None]))[0]

    def _losses(self, first: View, second: View,
                target: Tensor) -> Dict[str, Tensor]:
        present = (target > 0)[:, :, None, None]
        full = torch.promote_types(first[0].dtype, torch.float32)
        large, small = (
            self._unit(view[0].to(full)) * present for view in (first, second))
        size = small.shape[-2:]
        shrunk = F.interpolate(large, size, mode='area')
        losses = dict(loss_er=self.er_weight * (shrunk - small).abs().mean())
        if self.ecr_weight:
            refined = [
                self._unit(
                    self.correlation(self._hot(maps).detach(), view[1]))
                for maps, view in ((large, first), (small, second))
            ]
            refined[0] = F.interpolate(refined[0], size, mode='area')
            error: Any = sum(
                self._top(self._hot(maps), other)
                for maps, other in zip((small, shrunk), refined))
            losses['loss_ecr'] = self.ecr_weight * error
        return losses

    @staticmethod
    def _crop(view: View, i: int) -> View:
        h, w = view[2][i]
        maps, feat = (x[i:i + 1, :, :h, :w] for x in view[:2])
        return maps, feat, None

    @staticmethod
    def _unit(maps: Tensor) -> Tensor:
        maps = maps.relu()
        return maps / (maps.amax((2, 3), keepdim=True) + 1e-5)

    @staticmethod
    def _strongest(maps: Tensor) -> Tensor:
        return maps * (maps == maps.amax(1, keepdim=True))

    def _hot(self, maps: Tensor) -> Tensor:
        """Background, and the strongest class of each position."""
        background = 1 - maps.amax(1, keepdim=True)
        return torch.cat([background, self._strongest(maps)], 1)

    def _top(self, maps: Tensor, refined: Tensor) -> Tensor:
        """Mean of the largest differences; one of the two is held fixed."""
        if self.correlation.embed is not None:
            maps = maps.detach()
        error = (maps - refined).abs().flatten(1)
        number = max(int(self.topk * error.shape[1]), 1)
        return error.topk(number, 1).values.mean()
