# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Dict, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ...models.heads import GroupCAMHead
from ...models.utils import Branch
from ...registry import MODELS
from ...utils.errors import InputError


@MODELS.register_module()
class ReCAMHead(GroupCAMHead):
    """``GroupCAMHead`` with a softmax classifier that re-activates its maps.

    A second classifier beside the first one learns by ``ReCAMLoss``, and
    predictions show maps of both. Its loss has its weight times that of the
    loss beside it (``cam_weight``, ``graph_weight``). Source: Class
    Re-Activation Maps (Chen et al., CVPR 2022).

    Args:
        in_channels (int): Channels of the maps.
        num_classes (int): Number of classes, ``C``.
        recam (dict, optional): Options of ``group_wsss.ReCAMLoss``. Defaults
            to None.
        **kwargs: Of ``GroupCAMHead``.

    Raises:
        InputError: Logit nodes (``in_channels=None``), which have no
            features to read.
    """

    def __init__(self,
                 in_channels: Optional[int],
                 num_classes: int,
                 recam: Optional[dict] = None,
                 **kwargs) -> None:
        if in_channels is None:
            raise InputError('ReCAMHead reads features: in_channels cannot '
                             'be None')
        super().__init__(in_channels, num_classes, **kwargs)
        self.recam_classifier = nn.Conv2d(
            in_channels, num_classes, 1, bias=False)
        nn.init.normal_(self.recam_classifier.weight, std=0.01)
        self.recam = MODELS.build({
            'type': 'group_wsss.ReCAMLoss',
            **(recam or {})
        })

    def branch_loss(self, branch: Branch, target: Tensor,
                    valid: Optional[Tensor], **kwargs) -> Dict[str, Tensor]:
        """Add the loss of the softmax classifier.

        Args:
            branch (Branch): The classification.
            target (Tensor): ``(B, C)``.
            valid (Tensor, optional): ``(B, h, w)``, False on padding.
            **kwargs: Arguments of the multi-label loss.

        Returns:
            dict[str, Tensor]: As in ``GroupCAMHead``, and the same names
            with ``_recam``.
        """
        losses = super().branch_loss(branch, target, valid, **kwargs)
        softmax = self.recam_classifier(branch.feat)
        losses[f'{branch.name}_recam'] = branch.weight * self.recam(
            branch.logits, softmax, target, valid)
        return losses

    def shown_maps(self, branch: Branch) -> Tensor:
        """Maps re-activated by both classifiers, ``(B, C, h, w)``."""
        with torch.no_grad():  # shown, not trained
            weight = self.recam.weight(branch.classifier.weight,
                                       self.recam_classifier.weight)
            if weight is None:
                return branch.logits
            return F.conv2d(branch.feat, weight)
