# Copyright (c) group_wsss contributors. All rights reserved.
"""The group size of a config, written once, where it is needed."""
from typing import Any, Optional

from ...utils.config import walk
from ...utils.errors import InputError

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def _named(node: Any, name: str) -> bool:
    """Tell if a config is of a type, with or without its scope."""
    return (isinstance(node, dict)
            and str(node.get('type', '')).split('.')[-1] == name)


def _positive(cfg: Any, key: str, default: int) -> int:
    value = cfg.get(key, default)
    if not isinstance(value, int) or value < 1:
        raise InputError(f'{key}={value!r} must be an integer of at least 1')
    return value


def _write(node: Any, size: int, old: Optional[int]) -> int:
    """Set ``group_size`` unless the config itself names one."""
    if node.get('group_size') in (None, old):
        node['group_size'] = size
    return node['group_size']


def _allow_unused(cfg: Any) -> None:
    """Let DDP wait for no gradient of a graph that sends nothing."""
    if cfg.get('find_unused_parameters', None) is not None:
        return
    cfg.find_unused_parameters = True
    wrapper = cfg.get('model_wrapper_cfg', None) or {}
    if str(wrapper.get('type')).endswith('DistributedDataParallel'):
        wrapper['find_unused_parameters'] = True


def settle_group_size(cfg: Any) -> None:
    """Let ``group_size`` of a config reach everything that has to know it.

    ``group_size`` at the top of a config is K of the training groups: of the
    ``GroupBatchSampler`` and the collate function of ``train_dataloader``,
    and of a neck with ``aggregation='concat'``, which is made for one K.
    ``test_group_size`` (default: ``group_size``) is that of every
    ``GroupedDataset`` that names none itself; where ``group_size`` is 1, so
    is that: a plain classifier, whose graph gets no gradient, so that
    ``find_unused_parameters`` is set for DDP unless the config says
    otherwise. Configs without ``group_size`` stay as they are.

    What was settled is noted in the config (``settled``), so that a config
    that a run has saved follows another ``group_size`` too.

    Args:
        cfg (mmengine.Config): Changed in place.

    Raises:
        InputError: A size is no positive integer, the sampler names another
            one, or the batch is no multiple of it; the key is named.
    """
    if cfg.get('group_size', None) is None:
        return
    size = _positive(cfg, 'group_size', 1)
    test_size = _positive(cfg, 'test_group_size', size)
    if size == 1:
        test_size = 1
        _allow_unused(cfg)
    old = cfg.get('settled', None) or {}
    loader = cfg.get('train_dataloader', None)
    sampler = (loader or {}).get('batch_sampler', None)
    if _named(sampler, 'GroupBatchSampler'):
        own = _write(sampler, size, old.get('group_size'))
        if own != size:
            raise InputError(
                f'train_dataloader.batch_sampler.group_size is {own}, but '
                f'group_size of the config is {size}: set only the latter')
        if loader.get('batch_size', size) % size:
            raise InputError(
                f'train_dataloader.batch_size={loader.batch_size} is not a '
                f'multiple of group_size={size}')
        collate = loader.get('collate_fn', None)
        # mmpretrain's train.py names the second one where a config names none
        if collate is None or any(
                _named(collate, name)
                for name in ('pseudo_collate', 'default_collate')):
            collate = dict(type='group_wsss.group_collate')
        if _named(collate, 'group_collate'):
            loader['collate_fn'] = dict(collate, group_size=size)
    for name in LOADERS:
        loader = cfg.get(name, None) or {}
        for _, node in walk(loader.get('dataset', None), name):
            if _named(node, 'GroupedDataset'):
                _write(node, test_size, old.get('test_group_size'))
    neck: Any = (cfg.get('model', None) or {}).get('neck', None)
    if (_named(neck, 'CoAttentionGNN')
            and neck.get('aggregation') == 'concat'):
        _write(neck, size, old.get('group_size'))
    cfg.settled = dict(group_size=size, test_group_size=test_size)
