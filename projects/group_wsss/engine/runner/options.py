# Copyright (c) group_wsss contributors. All rights reserved.
"""Options of a config that cannot work, named before anything is built."""
import os.path as osp
from typing import Any, Iterator, Sequence, Tuple

from ...structures.folders import missing_files
from ...structures.label_image import IGNORE_INDEX
from ...structures.manifest import MANIFEST
from ...utils.config import walk
from ...utils.errors import InputError
from ..utils import (known_classes, transform_name, walk_datasets,
                     walk_transforms)

_HEADS = ('head', 'decode_head', 'auxiliary_head')


def _whole(where: str, cfg: Any, key: str, least: int) -> None:
    """A number that is set is a whole one of at least this."""
    value = cfg.get(key)
    if value is not None and (type(value) is not int or value < least):
        raise InputError(f'{where}.{key}={value!r} must be a whole number of '
                         f'at least {least}')


def _heads(cfg: Any) -> Iterator[Tuple[str, dict]]:
    """Heads of the model that say a number of classes."""
    for where, node in walk(cfg.get('model', None) or {}, 'model'):
        if (isinstance(node, dict) and type(node.get('num_classes')) is int
                and not set(_HEADS).isdisjoint(where.split('.'))):
            yield where, node


def check_loaders(cfg: Any, loaders: Sequence[str]) -> None:
    """Refuse what a DataLoader cannot do.

    Args:
        cfg (mmengine.Config): Not changed.
        loaders (Sequence[str]): Names such as ``'train_dataloader'``.

    Raises:
        InputError: One line with the key.
    """
    for name in loaders:
        loader = cfg.get(name, None)
        if not isinstance(loader, dict):
            continue
        _whole(name, loader, 'batch_size', 1)
        _whole(name, loader, 'num_workers', 0)
        for key in ('persistent_workers', 'prefetch_factor'):
            if loader.get(key) and not loader.get('num_workers'):
                raise InputError(f'{name}.{key}={loader[key]} needs '
                                 f'{name}.num_workers > 0')


def check_training(cfg: Any) -> None:
    """Refuse a training whose losses would fail, or do nothing.

    Args:
        cfg (mmengine.Config): Settled; not changed.

    Raises:
        InputError: One line with the key.
    """
    loop = cfg.get('train_cfg', None) or {}
    for key in ('max_iters', 'max_epochs', 'val_interval'):
        _whole('train_cfg', loop, key, 1)
    for where, head in _heads(cfg):
        count, ignored = head['num_classes'], head.get('ignore_index')
        if ignored is not None and ignored != IGNORE_INDEX and _holds_unknown(
                cfg):
            raise InputError(f'{where}.ignore_index={ignored}: label images '
                             f'hold {IGNORE_INDEX} for unknown')
        for key, value in walk(head, where):
            if (key.split('.')[-1] in ('class_weight', 'pos_weight')
                    and isinstance(value, (list, tuple))
                    and len(value) != count and head.get('out_channels') != 1):
                raise InputError(f'{key} has {len(value)} numbers, the head '
                                 f'{count} classes')


def _holds_unknown(cfg: Any) -> bool:
    """Tell if label images of a training have 255, as dumps and padding do."""
    padding = (
        cfg.model.get('data_preprocessor', None)
        or cfg.get('data_preprocessor', None) or {})
    if padding.get('size') and padding.get('seg_pad_val', 255) == IGNORE_INDEX:
        return True
    loader = cfg.get('train_dataloader', None) or {}
    return any(
        key.endswith('.seg_map_path') and isinstance(folder, str) and
        osp.lexists(osp.join(data.get('data_root') or '', folder, MANIFEST))
        for _, data in walk(loader) if isinstance(data, dict)
        and isinstance(data.get('data_prefix'), dict)
        for key, folder in walk(data['data_prefix'], 'data_prefix'))


def check_data(runner: Any) -> None:
    """Refuse data that the model or the validation would stumble over.

    Args:
        runner (mmengine.Runner): With its loops built.

    Raises:
        InputError: A head with fewer classes than the data, or a label image
            or mask that is not there.
    """
    train = runner.train_loop.dataloader.dataset
    names = known_classes(train)
    for where, head in _heads(runner.cfg):
        if 1 < head['num_classes'] < len(names):
            raise InputError(f'{where}.num_classes is {head["num_classes"]}, '
                             f'train_dataloader has {len(names)} classes')
    loops = dict(train_dataloader=runner.train_loop)
    if runner.val_loop is not None:
        loops['val_dataloader'] = runner.val_loop
    for name, loop in loops.items():
        dataset = loop.dataloader.dataset
        if not any(
                transform_name(item) == 'LoadAnnotations'
                for item in walk_transforms(dataset)):
            continue
        for item in walk_datasets(dataset):
            if not hasattr(item, 'get_data_info'):
                continue
            infos = map(item.get_data_info, range(len(item)))
            paths = [info.get('seg_map_path') for info in infos]
            paths = [path for path in paths if isinstance(path, str)]
            missing = missing_files(paths)
            if missing:
                raise InputError(f'{paths[missing[0]]}: no such label image '
                                 f'or mask ({len(missing)} of {len(paths)} of '
                                 f'{name} are missing)')
