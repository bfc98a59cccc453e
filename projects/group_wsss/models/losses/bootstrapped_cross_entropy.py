# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional

from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from .pixel_loss import PixelLoss


@MODELS.register_module()
class BootstrappedCrossEntropy(PixelLoss):
    """Cross entropy that believes the network a little.

    With ``t`` the one-hot label and ``q`` the prediction of a pixel, the
    target is mixed (Reed et al., Training Deep Neural Networks on Noisy
    Labels with Bootstrapping, ICLR workshop 2015):

    - soft: ``-sum_k (beta t_k + (1 - beta) q_k) log q_k``, the label's cross
      entropy and the entropy of the prediction, both with gradients;
    - hard: ``-sum_k (beta t_k + (1 - beta) z_k) log q_k`` with ``z`` one-hot
      at the strongest class of ``q``.

    In place of the loss of an mmseg head::

        loss_decode=dict(_delete_=True,
                         type='group_wsss.BootstrappedCrossEntropy')

    Args:
        mode (str): ``'hard'`` or ``'soft'``. Defaults to ``'hard'``.
        beta (float, optional): Share of the label, in [0, 1]; 1 is plain
            cross entropy. Defaults to None, the paper's 0.8 (hard) or 0.95
            (soft).
        loss_weight (float): Factor on the loss. Defaults to 1.0.
        loss_name (str): Name in the log. Defaults to
            ``'loss_bootstrapped_ce'``.
        avg_non_ignore (bool): See ``PixelLoss``. Defaults to True.

    Raises:
        InputError: If an option has a value that it cannot have.
    """

    def __init__(self,
                 mode: str = 'hard',
                 beta: Optional[float] = None,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_bootstrapped_ce',
                 avg_non_ignore: bool = True) -> None:
        super().__init__(loss_weight, loss_name, avg_non_ignore)
        if mode not in ('hard', 'soft'):
            raise InputError(f"mode of BootstrappedCrossEntropy is '{mode}', "
                             "must be 'hard' or 'soft'")
        if beta is None:
            beta = 0.8 if mode == 'hard' else 0.95
        if not 0 <= beta <= 1:
            raise InputError(f'beta of BootstrappedCrossEntropy is {beta}, '
                             'must be in [0, 1]')
        self.mode = mode
        self.beta = beta

    def forward(self,
                seg_logits: Tensor,
                seg_label: Tensor,
                weight: Optional[Tensor] = None,
                ignore_index: int = 255,
                **kwargs: Any) -> Tensor:
        """Compute the loss.

        Args:
            seg_logits (Tensor): ``(B, C, H, W)``.
            seg_label (Tensor): ``(B, H, W)``, int64.
            weight (Tensor, optional): ``(B, H, W)``. Defaults to None.
            ignore_index (int): Label of unknown pixels. Defaults to 255.
            kwargs: Of heads of mmseg; without effect.

        Returns:
            Tensor: Scalar.
        """
        log_q = self.log_probs(seg_logits)
        known = seg_label != ignore_index
        label = seg_label.masked_fill(~known, 0)
        losses = -log_q.gather(1, label.unsqueeze(1)).squeeze(1)
        if self.mode == 'hard':
            own = -log_q.amax(1)
        else:
            own = -(log_q.exp() * log_q).sum(1)
        losses = self.beta * losses + (1 - self.beta) * own
        return self.average(losses, known, weight)
