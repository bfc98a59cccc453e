# Copyright (c) group_wsss contributors. All rights reserved.
"""What a training on image-level labels may see: names, no objects."""
import re
from typing import Any, Container, Iterator, Optional, Sequence

import torch.nn as nn
from mmengine.structures import BaseDataElement

# under this name a loader worker's random state travels with its batch
RANDOM_STATE = 'group_wsss_random_state'
# all that a batch and its samples may carry
ALLOWED = frozenset([
    'inputs', 'data_samples', 'img',
    # tags
    'gt_label', 'gt_score', 'gt_label_difficult', 'num_classes',
    # labels that were made from tags, for later stages
    'seeds',
    # the image, and what was done to it
    'img_id', 'img_path', 'sample_idx', 'skipped', 'ori_shape', 'img_shape',
    'pad_shape', 'batch_input_shape', 'valid_shape', 'map_shape', 'scale',
    'scale_factor', 'keep_ratio', 'flip', 'flip_direction',
    'reduce_zero_label',
    # its place in its group
    'group_slot'
])  # yapf: disable
# transforms named Load... that read an image, or labels made from tags
_LOADERS = re.compile(r'Load(?!Label|Mask)\w*Image\w*|LoadSeeds')
# parts of the names under which a data entry knows masks
_MASKS = re.compile(r'mask|seg|instance|polygon|panoptic', re.IGNORECASE)
# metrics that need no mask, and the prefixes of their names
_TAG_METRICS = frozenset([
    'Accuracy', 'SingleLabelMetric', 'ConfusionMatrix', 'MultiLabelMetric',
    'AveragePrecision', 'VOCMultiLabelMetric', 'VOCAveragePrecision'
])
_TAG_PREFIXES = frozenset(
    ['accuracy', 'single-label', 'confusion_matrix', 'multi-label'])


def model_supervision(model: nn.Module) -> str:
    """Letters of ``Manifest.supervision`` for labels by a model.

    Args:
        model (nn.Module): Its parts that know more than tags have them as
            ``supervision``.

    Returns:
        str: ``'I'`` and those.
    """
    found = {getattr(part, 'supervision', '') for part in model.modules()}
    return ''.join(['I', *sorted(found)])


def strange_fields(node: Any, allowed: Container[str]) -> Iterator[str]:
    """Names in a batch that are not allowed.

    Args:
        node (Any): A batch, a sample, or lists of them. Parts without a name
            are not looked at.
        allowed (Container[str]): Names, such as :data:`ALLOWED`.

    Yields:
        str: A name with a value that is not allowed; ``gt_label`` and
        ``gt_score`` too, where a sample has them for each pixel.
    """
    if isinstance(node, BaseDataElement):
        for name, value in node.all_items():
            if value is None:
                continue
            if name not in allowed:
                yield name
            elif name in ('gt_label', 'gt_score') and getattr(
                    value, 'ndim', 0) > 1:
                yield f'{name} of shape {tuple(value.shape)}'
    elif isinstance(node, dict):
        for name, value in node.items():
            if name in allowed:
                yield from strange_fields(value, allowed)
            elif value is not None and name != RANDOM_STATE:
                yield str(name)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from strange_fields(item, allowed)


def mask_keys(info: Any) -> Iterator[str]:
    """Names under which a data entry seems to know masks.

    Args:
        info (Any): What ``get_data_info`` of a dataset gives.

    Yields:
        str: A key with a value, such as ``seg_map_path`` or ``gt_masks``.
    """
    for name, value in info.items() if isinstance(info, dict) else ():
        empty = value is None or (isinstance(value,
                                             (str, list, tuple, dict, bool))
                                  and not value)
        if _MASKS.search(str(name)) and not empty:
            yield str(name)


def may_load(transform: str) -> bool:
    """Tell whether a transform may stand in a train pipeline.

    Args:
        transform (str): Its class name.

    Returns:
        bool: False for all that is named ``Load...`` and loads neither an
        image nor seeds.
    """
    return not transform.startswith('Load') or bool(
        _LOADERS.fullmatch(transform))


def follows_tags(name: str, metrics: Optional[Sequence[Any]]) -> bool:
    """Tell whether a metric is known to need no mask.

    Args:
        name (str): As in ``save_best``; ``'auto'`` is the first metric of
            the validation.
        metrics (Sequence[BaseMetric], optional): Those of the validation;
            None without one.

    Returns:
        bool: True for losses and for metrics of classification.
    """
    if name.startswith('loss'):
        return True
    prefix = name.rpartition('/')[0]
    if metrics is None:
        return name == 'auto' or prefix in _TAG_PREFIXES
    if name == 'auto':
        found = list(metrics[:1])
    else:
        found = [item for item in metrics if (item.prefix or '') == prefix]
    return bool(found) and all(not _TAG_METRICS.isdisjoint(
        kind.__name__ for kind in type(item).mro()) for item in found)
