# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Tuple

from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from .pixel_loss import PixelLoss


@MODELS.register_module()
class ScoreWeightedCrossEntropy(PixelLoss):
    """Cross entropy where a pixel counts as much as its score is sure.

    The weight of a pixel is ``y_t ** power``, with ``y`` the soft label that
    the dumped scores give and ``t`` the hard label: near the border between
    two classes, where scores are close, a label counts least. The loss is
    the weighted mean, so that scores low everywhere do not lower the
    learning rate. A label whose class has no score counts nothing.

    Args:
        power (float): Exponent of the weight; 0 is plain cross entropy.
            Defaults to 1.0.
        **kwargs: Of ``PixelLoss``.

    Raises:
        InputError: If ``power`` is negative.
    """

    default_name = 'loss_score_weighted_ce'
    needs_scores = True

    def __init__(self, power: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if power < 0:
            raise InputError('power of ScoreWeightedCrossEntropy is '
                             f'{power}, must be >= 0')
        self.power = power

    def pixel_losses(self, log_probs: Tensor, seg_label: Tensor,
                     soft_label: Tensor,
                     ignore_index: int) -> Tuple[Tensor, Tensor]:
        """See ``PixelLoss``."""
        known = (seg_label != ignore_index) & (soft_label.sum(1) > 0)
        label = seg_label.masked_fill(~known, 0).unsqueeze(1)
        sure = soft_label.to(log_probs.dtype).gather(1, label).squeeze(1)
        sure = (sure**self.power).masked_fill(~known, 0)
        # the mean weight of a known pixel becomes 1
        sure = sure * known.sum() / sure.sum().clamp(min=1e-6)
        return -log_probs.gather(1, label).squeeze(1) * sure, known
