# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional

from torch import Tensor

from ...registry import MODELS
from .pixel_loss import PixelLoss


@MODELS.register_module()
class SoftCrossEntropy(PixelLoss):
    """Cross entropy with a distribution over the classes as label.

    ``-sum_c y_c log p_c``; with a one-hot label the ordinary cross entropy.
    An uncertain label asks for an equally uncertain prediction, where
    ``CollisionCrossEntropy`` lets go.

    Args:
        loss_weight (float): Factor on the loss. Defaults to 1.0.
        loss_name (str): Name in the log. Defaults to ``'loss_soft_ce'``.
        avg_non_ignore (bool): See ``PixelLoss``. Defaults to True.
    """

    def __init__(self,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_soft_ce',
                 avg_non_ignore: bool = True) -> None:
        super().__init__(loss_weight, loss_name, avg_non_ignore)

    def forward(self,
                seg_logits: Tensor,
                seg_label: Optional[Tensor] = None,
                weight: Optional[Tensor] = None,
                ignore_index: int = 255,
                soft_label: Optional[Tensor] = None,
                **kwargs: Any) -> Tensor:
        """Compute the loss.

        Args:
            seg_logits (Tensor): ``(B, C, H, W)``.
            seg_label (Tensor, optional): Not used; where the label is
                unknown, ``soft_label`` is 0.
            weight (Tensor, optional): ``(B, H, W)``. Defaults to None.
            ignore_index (int): Of heads of mmseg; without effect.
            soft_label (Tensor): ``(B, C, H, W)``, sums to 1 over the
                classes; all 0 where a pixel is ignored.
            kwargs: Of heads of mmseg; without effect.

        Returns:
            Tensor: Scalar.

        Raises:
            InputError: If there is no soft label.
        """
        soft_label = self.wanted(soft_label, 'soft labels')
        log_p = self.log_probs(seg_logits)
        losses = -(soft_label.to(log_p.dtype) * log_p).sum(1)
        return self.average(losses, soft_label.sum(1) > 0, weight)
