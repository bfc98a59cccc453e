# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional

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
        loss_weight (float): Factor on the loss. Defaults to 1.0.
        loss_name (str): Name in the log. Defaults to
            ``'loss_score_weighted_ce'``.
        avg_non_ignore (bool): See ``PixelLoss``. Defaults to True.

    Raises:
        InputError: If ``power`` is negative.
    """

    def __init__(self,
                 power: float = 1.0,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_score_weighted_ce',
                 avg_non_ignore: bool = True) -> None:
        super().__init__(loss_weight, loss_name, avg_non_ignore)
        if power < 0:
            raise InputError('power of ScoreWeightedCrossEntropy is '
                             f'{power}, must be >= 0')
        self.power = power

    def forward(self,
                seg_logits: Tensor,
                seg_label: Tensor,
                weight: Optional[Tensor] = None,
                ignore_index: int = 255,
                soft_label: Optional[Tensor] = None,
                **kwargs: Any) -> Tensor:
        """Compute the loss.

        Args:
            seg_logits (Tensor): ``(B, C, H, W)``.
            seg_label (Tensor): ``(B, H, W)``, int64.
            weight (Tensor, optional): ``(B, H, W)``. Defaults to None.
            ignore_index (int): Label of unknown pixels. Defaults to 255.
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
        known = (seg_label != ignore_index) & (soft_label.sum(1) > 0)
        label = seg_label.masked_fill(~known, 0).unsqueeze(1)
        sure = soft_label.to(log_p.dtype).gather(1, label).squeeze(1)
        sure = (sure**self.power).masked_fill(~known, 0)
        # the mean weight of a known pixel becomes 1
        sure = sure * known.sum() / sure.sum().clamp(min=1e-6)
        losses = -log_p.gather(1, label).squeeze(1) * sure
        return self.average(losses, known, weight)
