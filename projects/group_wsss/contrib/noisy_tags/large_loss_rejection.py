# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any

import torch
from mmengine.logging import MessageHub
from mmpretrain.models.losses import CrossEntropyLoss
from torch import Tensor

from ...registry import MODELS
from ...utils.errors import InputError


@MODELS.register_module()
class LargeLossRejection(CrossEntropyLoss):
    """Binary cross entropy that does not believe every tag.

    A network learns what most tags say before it learns the wrong ones by
    heart, so what it contradicts most is left out (Kim et al., Large Loss
    Matters in Weakly Supervised Multi-Label Classification, CVPR 2022, the
    rule LL-R): of the classes that are no tag, the largest losses of a
    batch, for tags that are missing; of the tags, the same, for tags that
    are wrong. The share grows from 0 to the option's over the iterations of
    the training.

    A ``loss`` of ``GroupCAMHead`` and other multi-label heads. With both
    shares 0 it is ``mmpretrain.CrossEntropyLoss(use_sigmoid=True)``, bit for
    bit.

    Args:
        absent (float): Share of the classes without a tag that is left out
            at the end of the training. Defaults to 0.0.
        present (float): Share of the tags. Defaults to 0.0.
        **kwargs: Of ``mmpretrain.CrossEntropyLoss``.

    Raises:
        InputError: A share outside of [0, 1).
    """

    def __init__(self,
                 absent: float = 0.0,
                 present: float = 0.0,
                 **kwargs: Any) -> None:
        super().__init__(use_sigmoid=True, **kwargs)
        for name, share in (('absent', absent), ('present', present)):
            if not 0 <= share < 1:
                raise InputError(f'{name} of LargeLossRejection is {share}, '
                                 'must be in [0, 1)')
        self.shares = (absent, present)

    def forward(self, cls_score: Tensor, label: Tensor, *args: Any,
                **kwargs: Any) -> Tensor:
        """Compute the loss.

        Args:
            cls_score (Tensor): Logits, ``(B, C)``.
            label (Tensor): 1 for tags, else 0, ``(B, C)``.
            *args: See ``mmpretrain.CrossEntropyLoss``.
            **kwargs: The same.

        Returns:
            Tensor: Scalar.
        """
        for value, share in enumerate(self.shares):
            side = torch.nonzero((label > 0.5).flatten() == bool(value))[:, 0]
            count = int(share * _progress() * len(side))
            if count:
                # the lowest logits of tags, the highest of the others
                worst = cls_score.detach().flatten()[side].topk(
                    count, largest=not value).indices
                left_out = torch.zeros_like(label, dtype=torch.bool)
                left_out.view(-1)[side[worst]] = True
                # certain and right: no loss, no gradient
                cls_score = cls_score.masked_fill(left_out,
                                                  1e4 if value else -1e4)
        return super().forward(cls_score, label, *args, **kwargs)


def _progress() -> float:
    """Share of the training that is over; 1 outside of one."""
    hub = MessageHub.get_current_instance()
    if 'max_iters' not in hub.runtime_info:
        return 1.0
    return hub.get_info('iter') / hub.get_info('max_iters')
