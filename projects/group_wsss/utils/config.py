# Copyright (c) group_wsss contributors. All rights reserved.
"""Reading of configs; nothing heavy is imported before it is needed."""
import os.path as osp
from typing import Any, Iterator, List, Tuple

from .errors import InputError, one_line

_SECTIONS = ('model', 'default_hooks', 'train_dataloader', 'val_dataloader',
             'test_dataloader', 'train_cfg', 'val_cfg', 'test_cfg',
             'optim_wrapper')
_SECTIONS_OR_LISTS = ('param_scheduler', 'val_evaluator', 'test_evaluator')


def read_config(path: str, **kwargs: Any) -> Any:
    """Read a config file.

    Args:
        path (str): The file.
        **kwargs: Of ``mmengine.Config.fromfile``.

    Returns:
        mmengine.Config: The config.

    Raises:
        InputError: No such file, it is not a config, or a package that it
            imports is not installed.
    """
    from mmengine.config import Config
    if not osp.isfile(path):
        raise InputError(f'{path}: no such config file')
    try:
        return Config.fromfile(path, **kwargs)
    except ImportError as error:
        # mmengine wraps it; the one that knows a module is the first
        cause: BaseException = error
        while cause.__context__ and not getattr(cause, 'name', None):
            cause = cause.__context__
        raise InputError(f'{path}: an import of this config failed: '
                         f'{one_line(cause)}') from error
    except (OSError, SyntaxError) as error:
        raise InputError(f'{path}: {one_line(error)}') from error


def walk(node: Any, where: str = '') -> Iterator[Tuple[str, Any]]:
    """Visit all settings of a config.

    Args:
        node (dict | list | Any): The config, or a part of it.
        where (str): Dotted key of that part. Defaults to ''.

    Yields:
        tuple[str, Any]: Dotted key and value; the part itself first.
    """
    yield where, node
    pairs: Any = ()
    if isinstance(node, dict):
        pairs = node.items()
    elif isinstance(node, (list, tuple)):
        pairs = enumerate(node)
    for key, value in pairs:
        yield from walk(value, f'{where}.{key}'.lstrip('.'))


def inner_dataset(data: Any) -> Any:
    """Look through what is wrapped around a data set.

    Args:
        data (dict | Any): Config of a loader, or of a data set.

    Returns:
        dict | Any: Config of the data set that reads files.
    """
    while isinstance(data, dict) and 'dataset' in data:
        data = data['dataset']
    return data


def check_sections(cfg: Any) -> None:
    """Refuse a config whose sections are no sections.

    Args:
        cfg (mmengine.Config): Not changed.

    Raises:
        InputError: One line with the key, such as that of
            ``--cfg-options custom_hooks.0.x=1`` where there is no hook.
    """
    for key in _SECTIONS:
        _is_one_of(key, cfg.get(key, None), (dict, ), 'settings by name')
    for key in _SECTIONS_OR_LISTS:
        _is_one_of(key, cfg.get(key, None), (dict, list, tuple),
                   'settings by name, or a list of them')
    for key, hook in (cfg.get('default_hooks', None) or {}).items():
        _is_one_of(f'default_hooks.{key}', hook, (dict, ), 'settings by name')
    hooks = cfg.get('custom_hooks', None)
    _is_one_of('custom_hooks', hooks, (list, tuple), 'a list of hooks')
    for index, hook in enumerate(hooks or ()):
        _is_one_of(f'custom_hooks.{index}', hook, (dict, ), 'settings by name')


def _is_one_of(key: str, value: Any, types: Tuple[type, ...],
               what: str) -> None:
    if value is not None and not isinstance(value, types):
        raise InputError(f'{key}={value!r} must be {what}')


def hooks_of(cfg: Any, kind: str) -> List[dict]:
    """Hooks of one kind.

    Args:
        cfg (mmengine.Config): The config.
        kind (str): Name of the class, without scope.

    Returns:
        list[dict]: Default hooks first, as they are in the config.
    """
    hooks = (*(cfg.get('default_hooks', None) or {}).values(),
             *(cfg.get('custom_hooks', None) or ()))
    return [
        hook for hook in hooks
        if hook and str(hook.get('type')).split('.')[-1] == kind
    ]


def scope_of(cfg: Any) -> str:
    """Default scope of a config, ``'group_wsss'`` without one."""
    return cfg.get('default_scope', None) or 'group_wsss'
