# Copyright (c) group_wsss contributors. All rights reserved.
"""Maps of groups, and what of them is padding."""
import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Union

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from ...utils.errors import InputError

Inputs = Union[Tensor, Sequence[Tensor]]


class GroupMaps(NamedTuple):
    """Maps of a batch that the head reads.

    Attributes:
        before (Tensor): Maps before the graph, ``(B, C, h, w)``.
        after (Tensor): Maps after it, the same shape; the same object where
            there is no graph.
        class_maps (Tensor, optional): Class maps of ``before``,
            ``(B, num_classes, h, w)``, where the graph has exchanged these:
            ``after`` are then class maps too.
    """
    before: Tensor
    after: Tensor
    class_maps: Optional[Tensor] = None


class Branch(NamedTuple):
    """One of the two classifications of a batch.

    Attributes:
        name (str): Of its loss, whose weight is ``weight`` (float).
        feat (Tensor): What the classifier reads, ``(B, in_channels, h, w)``;
            the logits if the graph exchanged these.
        classifier (nn.Module): 1x1 convolution.
        logits (Tensor): Class maps, ``(B, C, h, w)``.
    """
    name: str
    weight: float
    feat: Tensor
    classifier: nn.Module
    logits: Tensor


def group_size_of(data_samples: Optional[List[DataSample]]) -> Optional[int]:
    """Group size of a batch, in training and at test time.

    Args:
        data_samples (list[DataSample], optional): Samples; ``group_slot`` of
            each is its place in its group (``group_collate`` puts it there).

    Returns:
        int, optional: K; None if no sample has a ``group_slot``.

    Raises:
        InputError: The slots are not whole groups of one size.
    """
    slots = [s.get('group_slot', None) for s in data_samples or []]
    if all(slot is None for slot in slots):
        return None
    k = slots.index(0, 1) if 0 in slots[1:] else len(slots)
    if slots != list(range(k)) * (len(slots) // k):
        raise InputError(f'group_slot of a batch is {slots}, must be whole '
                         'groups of one size: 0, 1, ..., 0, 1, ...')
    return k


def record_sizes(inputs: Inputs, feats: Sequence[Tensor],
                 data_samples: List[DataSample]) -> None:
    """Note in each sample which part of its map is no padding.

    Args:
        inputs (Tensor | Sequence[Tensor]): ``(B, 3, H, W)``, or a sequence
            of ``(3, H_i, W_i)``.
        feats (Sequence[Tensor]): One map ``(B, C, h, w)``, or one
            ``(1, C, h_i, w_i)`` for each image.
        data_samples (list[DataSample]): Those of padded images have a
            ``valid_shape`` in pixels. All get ``map_shape``, height and
            width in cells of the map, if any image of the batch is padded or
            of another size.
    """
    padded = any('valid_shape' in sample for sample in data_samples)
    if isinstance(inputs, Tensor) and not padded:
        return
    for i, sample in enumerate(data_samples):
        size = tuple(feats[i if len(feats) > 1 else 0].shape[-2:])
        if 'valid_shape' in sample:
            size = tuple(
                math.ceil(valid * n / full) for valid, n, full in zip(
                    sample.valid_shape, size, inputs[i].shape[-2:]))
        sample.set_metainfo(dict(map_shape=size))


def valid_positions(data_samples: Optional[List[DataSample]],
                    maps: Tensor) -> Optional[Tensor]:
    """Positions of a batch of maps that are no padding.

    Args:
        data_samples (list[DataSample], optional): As ``record_sizes`` leaves
            them.
        maps (Tensor): ``(B, C, h, w)``.

    Returns:
        Tensor, optional: Bool ``(B, h, w)``; None if there is no padding.
    """
    if not data_samples or 'map_shape' not in data_samples[0]:
        return None
    bound = torch.tensor([sample.map_shape for sample in data_samples],
                         device=maps.device)
    rows = torch.arange(maps.shape[-2], device=maps.device)
    columns = torch.arange(maps.shape[-1], device=maps.device)
    return ((rows < bound[:, :1])[:, :, None]
            & (columns < bound[:, 1:])[:, None])


def join_maps(maps: Sequence[Tensor]) -> Tensor:
    """Put the maps of all images into one tensor, padded with zeros.

    Args:
        maps (Sequence[Tensor]): One ``(B, C, h, w)``, or one
            ``(1, C, h_i, w_i)`` for each image.

    Returns:
        Tensor: ``(B, C, h, w)``.
    """
    if len(maps) == 1:
        return maps[0]
    height = max(m.shape[-2] for m in maps)
    width = max(m.shape[-1] for m in maps)
    return torch.cat([
        F.pad(m, (0, width - m.shape[-1], 0, height - m.shape[-2]))
        for m in maps
    ])


def exchange(neck: Any,
             head: Any,
             before: Tensor,
             group_size: int,
             valid: Optional[Tensor] = None,
             anchors_only: bool = False) -> GroupMaps:
    """Run a graph, on class maps instead of features where that is the same.

    Args:
        neck (nn.Module): ``CoAttentionGNN``, or another one with
            ``propagate``.
        head (nn.Module): Of ``GroupCAM``.
        before (Tensor): Of ``neck.project``, ``(B, C, h, w)``.
        group_size (int): See ``CoAttentionGNN.propagate``.
        valid (Tensor, optional): ``(B, h, w)``, False on padding. Defaults
            to None.
        anchors_only (bool): See ``CoAttentionGNN.propagate``. Defaults to
            False.

    Returns:
        GroupMaps: What the head reads.
    """
    graph = before, group_size, valid, anchors_only
    if (getattr(neck, 'is_average', False) and neck.has_graph(group_size)
            and getattr(head, 'reads_averages', False)
            and before.shape[1] == head.in_channels):  # else the head says so
        class_maps = head.classifier(before)
        return GroupMaps(before, neck.propagate(*graph, class_maps),
                         class_maps)
    return GroupMaps(before, neck.propagate(*graph))


def losses_of(neck: Any, head: Any, maps: GroupMaps,
              data_samples: List[DataSample]) -> Dict[str, Tensor]:
    """Losses of a head and, where keys learn by contrast, of its graph.

    Args:
        neck (nn.Module, optional): See :func:`exchange`.
        head (nn.Module): See :func:`exchange`.
        maps (GroupMaps): Of :func:`exchange`.
        data_samples (list[DataSample]): With ``gt_label``.

    Returns:
        dict[str, Tensor]: By name.
    """
    losses = head.loss(maps, data_samples)
    if (maps.after is not maps.before
            and getattr(neck, 'contrast', None) is not None):
        losses.update(
            neck.loss(maps.before, head.tag_maps(maps, data_samples),
                      valid_positions(data_samples, maps.before)))
    return losses


def own_part(maps: Tensor, sample: DataSample) -> Tensor:
    """Cut the padding off the maps of one image.

    Args:
        maps (Tensor): ``(..., h, w)``.
        sample (DataSample): As ``record_sizes`` leaves it.

    Returns:
        Tensor: A view of the maps.
    """
    h, w = sample.get('map_shape', maps.shape[-2:])
    return maps[..., :h, :w]


def anchors_of(data_samples: Sequence[DataSample]) -> List[int]:
    """Places of the images that start a group.

    Args:
        data_samples (Sequence[DataSample]): With or without ``group_slot``;
            an image without it is a group of one.

    Returns:
        list[int]: Ascending.
    """
    return [
        i for i, sample in enumerate(data_samples)
        if sample.get('group_slot', 0) == 0
    ]
