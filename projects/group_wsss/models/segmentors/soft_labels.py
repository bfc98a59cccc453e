# Copyright (c) group_wsss contributors. All rights reserved.
from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from torch import Tensor

from ...utils.errors import InputError


def soft_label(scores: Tensor, labels: List[int], num_classes: int,
               bg_threshold: float, temperature: float) -> Tensor:
    """Distribution over background and the classes present in an image.

    ``softmax([bg_threshold, s_1, ..., s_n] / temperature)``; classes known
    to be absent get 0. The strongest class is what ``ThresholdLabeler``
    with this threshold writes.

    Args:
        scores (Tensor): ``(n, H, W)`` in [0, 1], negative where unknown.
        labels (list[int]): Label of each map, 1 to ``num_classes - 1``.
        num_classes (int): ``C``, with background.
        bg_threshold (float): Score at which a class and background are
            equally likely.
        temperature (float): Above 0; the smaller, the harder the label.

    Returns:
        Tensor: ``(C, H, W)``, sums to 1; all 0 where a score is unknown.
    """
    background = scores.new_full((1, *scores.shape[1:]), bg_threshold)
    probs = (torch.cat([background, scores]) / temperature).softmax(0)
    target = scores.new_zeros(num_classes, *scores.shape[1:])
    target[[0, *labels]] = probs
    return target.masked_fill((scores < 0).any(0), 0)


def stack_soft_labels(data_samples: List[BaseDataElement], size: Tuple[int,
                                                                       int],
                      num_classes: int, bg_threshold: Optional[float],
                      temperature: float) -> Optional[Tensor]:
    """Soft labels of a batch, padded at the bottom and at the right.

    Args:
        data_samples (list[SegDataSample]): As ``PackScores`` leaves them:
            ``gt_scores`` with data ``(n, h, w)`` and ``score_labels``.
        size (tuple[int, int]): Height and width of the batch.
        num_classes (int): ``C``, with background.
        bg_threshold (float, optional): See ``soft_label``; None takes the
            ``score_threshold`` of each sample.
        temperature (float): See ``soft_label``.

    Returns:
        Tensor or None: ``(B, C, H, W)``, all 0 on padding and where unknown;
        None if the samples carry no scores.

    Raises:
        InputError: If a label has no channel, or there is no threshold.
    """
    if not all('gt_scores' in sample for sample in data_samples):
        return None
    targets = []
    for sample in data_samples:
        scores, labels = sample.gt_scores.data, list(sample.score_labels)
        if max(labels, default=0) >= num_classes:
            raise InputError(
                f'{sample.get("img_path")}: the dumped scores have label '
                f'{max(labels)}, but decode_head.num_classes is '
                f'{num_classes}')
        threshold = bg_threshold
        if threshold is None:
            threshold = sample.get('score_threshold')
        if threshold is None:
            raise InputError(
                f'{sample.get("img_path")}: the manifest of its scores names '
                'no threshold; set bg_threshold of WeakEncoderDecoder')
        target = soft_label(scores, labels, num_classes, threshold,
                            temperature)
        height, width = (n - m for n, m in zip(size, scores.shape[1:]))
        targets.append(F.pad(target, (0, width, 0, height)))
    return torch.stack(targets)


def absent_classes(data_samples: List[BaseDataElement],
                   num_classes: int) -> Tensor:
    """Which classes an image is known not to show.

    Args:
        data_samples (list[SegDataSample]): As ``PackScores`` leaves them.
        num_classes (int): ``C``, with background, which is never absent.

    Returns:
        Tensor: bool ``(B, C)``.

    Raises:
        InputError: If the samples carry no tags.
    """
    absent = torch.ones(len(data_samples), num_classes, dtype=torch.bool)
    for row, sample in zip(absent, data_samples):
        labels = sample.get('score_labels')
        if labels is None:
            raise InputError(
                f'{sample.get("img_path")}: restrict_to_tags of '
                'WeakEncoderDecoder needs LoadScores and PackScores in the '
                'train pipeline')
        row[[0, *labels]] = False
    return absent
