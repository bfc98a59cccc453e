# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Callable, Dict, List, Sequence

import torch
import torch.nn as nn
from torch import Tensor

from ...registry import MODELS
from ...structures.label_image import IGNORE_INDEX
from ...utils.pairs import Offset, pair_windows


@MODELS.register_module()
class AffinityLoss(nn.Module):
    """Balanced cross entropy of pairs of cells (PSA, CVPR 2018, eq. 4-8).

    Two cells with the same seed label should have affinity 1, two with
    different labels 0; a pair with an unknown cell says nothing. Pairs of
    two background cells, of one and the same class and of different labels
    are averaged apart, since the first kind outnumbers the others: ::

        L = w_bg mean(-log a) + w_fg mean(-log a) + w_diff mean(-log(1 - a))

    ``1 - a`` is at least 1e-5. A kind that a batch has no pair of adds 0.

    Args:
        background_weight (float): ``w_bg``. Defaults to 0.25.
        foreground_weight (float): ``w_fg``. Defaults to 0.25.
        different_weight (float): ``w_diff``. Defaults to 0.5: the ratios of
            the three are the paper's.
    """

    def __init__(self,
                 background_weight: float = 0.25,
                 foreground_weight: float = 0.25,
                 different_weight: float = 0.5) -> None:
        super().__init__()
        self.weights = dict(
            loss_background=background_weight,
            loss_foreground=foreground_weight,
            loss_different=different_weight)

    def forward(self, log_affinity: Callable[[Offset], Tensor], labels: Tensor,
                offsets: Sequence[Offset]) -> Dict[str, Tensor]:
        """Loss of a batch.

        Args:
            log_affinity (Callable): Logarithm of the affinities of all pairs
                of an offset, ``(B, h - |dy|, w - |dx|)``.
            labels (Tensor): Seeds ``(B, h, w)``: 0 background, class id + 1,
                255 unknown.
            offsets (Sequence[tuple[int, int]]): The pairs, see
                :func:`pair_offsets`.

        Returns:
            dict[str, Tensor]: Weighted ``loss_background``,
            ``loss_foreground`` and ``loss_different``.
        """
        sums: List[Tensor] = [labels.new_zeros((), dtype=torch.float)] * 3
        counts = [0, 0, 0]
        for offset in offsets:
            first, second = pair_windows(labels.shape[-2:], offset)
            one, other = labels[(..., *first)], labels[(..., *second)]
            known = (one != IGNORE_INDEX) & (other != IGNORE_INDEX)
            same = known & (one == other)
            log_a = log_affinity(offset)
            kinds = (same & (one == 0), same & (one != 0), known & ~same)
            for i, kind in enumerate(kinds):
                values = log_a[kind]
                if i == 2:  # 1 - a without loss of digits where a is near 1
                    values = (-torch.expm1(values)).clamp(min=1e-5).log()
                sums[i] = sums[i] - values.sum()
                counts[i] += values.numel()
        return {
            name: self.weights[name] * total / max(count, 1)
            for name, total, count in zip(self.weights, sums, counts)
        }
