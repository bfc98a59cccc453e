# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Tuple

from torch import Tensor

from ...registry import MODELS
from .pixel_loss import PixelLoss


@MODELS.register_module()
class SoftCrossEntropy(PixelLoss):
    """Cross entropy with a distribution over the classes as label.

    ``-sum_c y_c log p_c``; with a one-hot label the ordinary cross entropy.
    An uncertain label asks for an equally uncertain prediction, where
    ``CollisionCrossEntropy`` lets go. Arguments are those of ``PixelLoss``.
    """

    default_name = 'loss_soft_ce'
    needs_scores = True

    def pixel_losses(self, log_probs: Tensor, seg_label: Any,
                     soft_label: Tensor,
                     ignore_index: int) -> Tuple[Tensor, Tensor]:
        """See ``PixelLoss``."""
        losses = -(soft_label.to(log_probs.dtype) * log_probs).sum(1)
        return losses, soft_label.sum(1) > 0
