# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional, Tuple

from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError
from ..utils import check_choice
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
        **kwargs: Of ``PixelLoss``.

    Raises:
        InputError: If an option has a value that it cannot have.
    """

    default_name = 'loss_bootstrapped_ce'

    def __init__(self,
                 mode: str = 'hard',
                 beta: Optional[float] = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_choice('BootstrappedCrossEntropy', 'mode', mode,
                     ('hard', 'soft'))
        if beta is None:
            beta = 0.8 if mode == 'hard' else 0.95
        if not 0 <= beta <= 1:
            raise InputError(f'beta of BootstrappedCrossEntropy is {beta}, '
                             'must be in [0, 1]')
        self.mode = mode
        self.beta = beta

    def pixel_losses(self, log_probs: Tensor, seg_label: Tensor,
                     soft_label: Any,
                     ignore_index: int) -> Tuple[Tensor, Tensor]:
        """See ``PixelLoss``."""
        known = seg_label != ignore_index
        label = seg_label.masked_fill(~known, 0)
        losses = -log_probs.gather(1, label.unsqueeze(1)).squeeze(1)
        if self.mode == 'hard':
            own = -log_probs.amax(1)
        else:
            own = -(log_probs.exp() * log_probs).sum(1)
        return self.beta * losses + (1 - self.beta) * own, known
