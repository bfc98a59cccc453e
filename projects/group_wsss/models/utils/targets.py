# Copyright (c) group_wsss contributors. All rights reserved.
from typing import List

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

from ...utils.errors import InputError


def _fail(sample: DataSample, what: str) -> None:
    name = sample.get('img_id', sample.get('img_path', 'a sample'))
    raise InputError(f'{name}: {what}')


def check_labels(data_samples: List[DataSample], num_classes: int) -> None:
    """Refuse class ids that are out of range.

    Labels on a GPU are not looked at: that would wait for it in each step.
    ``GroupDataPreprocessor`` sees them before they are moved.

    Args:
        data_samples (list[DataSample]): Those with a ``gt_label``.
        num_classes (int): C.

    Raises:
        InputError: An id is not in ``0..C - 1``.
    """
    for sample in data_samples:
        label = sample.get('gt_label')
        if label is None or label.device.type != 'cpu':
            continue
        ids = label.tolist()
        if ids and not 0 <= min(ids) <= max(ids) < num_classes:
            _fail(
                sample, f'class ids {ids} are not all in '
                f'0..{num_classes - 1} (num_classes is {num_classes})')


def multi_hot(data_samples: List[DataSample], num_classes: int,
              device: torch.device) -> Tensor:
    """Multi-label targets of a batch.

    Args:
        data_samples (list[DataSample]): With ``gt_score`` ``(C, )``, as
            batch augmentations leave it, or ``gt_label``, any number of
            class ids; an image without labels is a row of zeros.
        num_classes (int): C.
        device (torch.device): Where the targets are wanted.

    Returns:
        Tensor: ``(B, C)``, float.

    Raises:
        InputError: If a class id is out of range, or labels are missing.
    """
    for sample in data_samples:
        if 'gt_score' in sample:
            if len(sample.gt_score) != num_classes:
                _fail(
                    sample, f'{len(sample.gt_score)} class scores, but '
                    f'num_classes is {num_classes}')
        elif 'gt_label' not in sample:
            _fail(sample, 'no gt_label to train with')
    if 'gt_score' in data_samples[0]:
        scores = torch.stack([s.gt_score for s in data_samples])
        return scores.float().to(device)
    check_labels(data_samples, num_classes)
    labels = [s.gt_label.long().to(device) for s in data_samples]
    flat = torch.cat(labels)
    rows = torch.repeat_interleave(
        torch.arange(len(labels)), torch.tensor([len(x) for x in labels]))
    target = torch.zeros(len(labels), num_classes, device=device)
    target[rows.to(device), flat] = 1
    return target
