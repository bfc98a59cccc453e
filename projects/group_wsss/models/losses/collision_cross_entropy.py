# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional

from torch import Tensor

from ...registry import MODELS
from .pixel_loss import PixelLoss


@MODELS.register_module()
class CollisionCrossEntropy(PixelLoss):
    """Minus the log chance that label and prediction draw the same class.

    ``-log sum_c p_c y_c`` (Zhang and Boykov, Collision Cross-entropy for
    Soft Class Labels and Deep Clustering, 2023). With a one-hot label it is
    the ordinary cross entropy. A uniform label gives a constant, and so no
    gradient: the prediction need not copy the doubt of the label, as it has
    to under ``SoftCrossEntropy``.

    Args:
        loss_weight (float): Factor on the loss. Defaults to 1.0.
        loss_name (str): Name in the log. Defaults to
            ``'loss_collision_ce'``.
        avg_non_ignore (bool): See ``PixelLoss``. Defaults to True.
    """

    def __init__(self,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_collision_ce',
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
        known = soft_label.sum(1) > 0
        # log 0 would make the gradient of an ignored pixel NaN
        label = soft_label.to(log_p.dtype).masked_fill(~known.unsqueeze(1), 1)
        # in logs, where a confident wrong prediction does not underflow
        losses = -(log_p + label.log()).logsumexp(1)
        return self.average(losses, known, weight)
