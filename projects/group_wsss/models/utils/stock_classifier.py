# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Optional, Tuple

from ...utils.errors import InputError

# a linear layer over pooled features, with one logit for each class
_LINEAR = ('LinearClsHead', 'MultiLabelLinearClsHead')
_POOLING = 'GlobalAveragePooling'


def _name(part: Any) -> Optional[str]:
    """Type in a config without its scope; None if it is no config."""
    kind = part.get('type') if isinstance(part, dict) else None
    return kind.rsplit('.', 1)[-1] if isinstance(kind, str) else None


def take_over(neck: Any, head: Any) -> Tuple[Any, Any]:
    """Neck and head of a stock classifier as those of a ``GroupCAM``.

    A linear layer after global average pooling gives the same logits as
    average pooling after a 1x1 convolution of the same weights, which is the
    observation behind CAM (Zhou et al., Learning Deep Features for
    Discriminative Localization, CVPR 2016). So mmpretrain's
    ``GlobalAveragePooling`` and ``LinearClsHead`` (or the multi-label one)
    become no neck and a ``GroupCAMHead``, which loads their weights.

    Args:
        neck (dict, optional): Config.
        head (dict): Config.

    Returns:
        tuple: Neck and head; as they are if they are others.

    Raises:
        InputError: The neck pools, but the head reads maps.
    """
    if _name(head) in _LINEAR:
        kept = ['in_channels', 'num_classes']
        if _name(head) == 'MultiLabelLinearClsHead':
            kept += ['loss', 'thr', 'topk']
        head = dict({key: head[key]
                     for key in kept if key in head},
                    type='group_wsss.GroupCAMHead')
        return (None if _name(neck) == _POOLING else neck), head
    if _name(neck) == _POOLING:
        raise InputError(f'neck {_POOLING} leaves GroupCAM no maps: set '
                         'neck=None')
    return neck, head
