# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Tuple

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
    to under ``SoftCrossEntropy``. Arguments are those of ``PixelLoss``.
    """

    default_name = 'loss_collision_ce'
    needs_scores = True

    def pixel_losses(self, log_probs: Tensor, seg_label: Any,
                     soft_label: Tensor,
                     ignore_index: int) -> Tuple[Tensor, Tensor]:
        """See ``PixelLoss``."""
        known = soft_label.sum(1) > 0
        # log 0 would make the gradient of an ignored pixel NaN
        label = soft_label.to(log_probs.dtype)
        label = label.masked_fill(~known.unsqueeze(1), 1)
        # in logs, where a confident wrong prediction does not underflow
        return -(log_probs + label.log()).logsumexp(1), known
