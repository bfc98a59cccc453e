# Copyright (c) group_wsss contributors. All rights reserved.
"""A trained network with its class names, for inference."""
import copy
import os.path as osp
from typing import Any, Sequence, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope

from ..engine.runner.group_size import settle_group_size
from ..engine.runner.num_classes import class_names_of
from ..evaluation import class_names
from ..models import GroupCAM
from ..registry import MODELS
from ..structures.manifest import MANIFEST, Manifest
from ..utils.checkpoint import load_from_file, load_from_url
from ..utils.classes import require_same_classes, without_background
from ..utils.config import inner_dataset
from ..utils.config import read_config as read_config_file
from ..utils.config import scope_of
from ..utils.errors import InputError, describe
from ..utils.weights import build_network, checkpoint_classes


def read_config(config: Union[str, dict, Config]) -> Config:
    """A config from its path, or a copy of one.

    Args:
        config (str | dict | Config): The config.

    Returns:
        Config: With ``model``.

    Raises:
        InputError: No such file, no config, or one without ``model``.
    """
    name = 'config'
    if isinstance(config, Config):
        config = copy.deepcopy(config)
    elif isinstance(config, dict):
        config = Config(config)
    else:
        name = str(config)
        config = read_config_file(name)
    if config.get('model', None) is None:
        raise InputError(f'{name}: has no model')
    settle_group_size(config)
    return config


def read_checkpoint(weights: str) -> dict:
    """Read a checkpoint without running code that it carries.

    Args:
        weights (str): File, or ``http://`` or ``https://`` address.

    Returns:
        dict: On the CPU.

    Raises:
        InputError: It is missing or cannot be read.
    """
    load = load_from_url if '://' in weights else load_from_file
    return load(weights, map_location='cpu')


def find_classes(classes: Union[str, Sequence[str], None], checkpoint: dict,
                 weights: str, cfg: Config) -> Tuple[str, ...]:
    """Class names of a network, without background.

    Taken from the first of these that has any: the checkpoint's
    ``dataset_meta``, the argument, ``pseudo_labels/manifest.json`` beside
    the checkpoint, the data set of the config.

    Args:
        classes (str | Sequence[str], optional): Names, which must be those
            of the checkpoint if it has any; or a dump, its
            ``manifest.json``, ``'voc'``, or a text file with one name a
            line.
        checkpoint (dict): The checkpoint.
        weights (str): Its path.
        cfg (Config): The config.

    Returns:
        tuple[str, ...]: The names.

    Raises:
        InputError: There are none, they differ, or a file with them is
            malformed.
    """
    given, source = None, 'the given classes'
    if isinstance(classes, str):
        source = classes
        if osp.isdir(classes) or classes.endswith('.json'):
            given = _manifest_classes(classes)
        else:
            given = class_names(classes)
    elif classes is not None:
        given = _checked('classes', classes)
    own = checkpoint_classes(checkpoint)
    if own:
        if given is not None:
            require_same_classes(
                without_background(given), source, without_background(own),
                weights)
        return _checked(weights, own)
    if given is not None:
        return given
    beside = osp.join(osp.dirname(weights), 'pseudo_labels')
    if osp.isfile(osp.join(beside, MANIFEST)):
        return _manifest_classes(beside)
    data = cfg.get('test_dataloader', None) or cfg.get('train_dataloader')
    try:
        with DefaultScope.overwrite_default_scope(scope_of(cfg)):
            return _checked('config', class_names_of(inner_dataset(data)))
    except (InputError, TypeError):
        raise InputError(f'{weights}: holds no class names; give classes '
                         '(names, or the folder of a dump)') from None


def _manifest_classes(path: str) -> Tuple[str, ...]:
    """Class names of a dump, less the background."""
    return tuple(Manifest.read(path).classes[1:])


def _checked(where: str, names: Any) -> Tuple[str, ...]:
    names = tuple(names)
    if not names or len(set(names)) < len(names) or not all(
            isinstance(name, str) and name for name in names):
        raise InputError(f'{where}: class names must be strings, each '
                         'once')
    return names


def load_classifier(cfg: Config, weights: str,
                    classes: Union[str, Sequence[str], None],
                    tta: bool) -> Tuple[Tuple[str, ...], BaseModel]:
    """Class names and network of a trained stage 1.

    Args:
        cfg (Config): Its config.
        weights (str): Its checkpoint.
        classes (str | Sequence[str], optional): See :func:`find_classes`.
        tta (bool): Wrap it in the config's ``tta_model``.

    Returns:
        tuple[tuple[str], BaseModel]: In eval mode, on the CPU.

    Raises:
        InputError: A file is missing or damaged, or they do not fit.
    """
    name = cfg.filename or 'config'
    checkpoint = read_checkpoint(weights)
    names = find_classes(classes, checkpoint, weights, cfg)
    net = build_network(cfg, checkpoint, weights, len(names))
    if not isinstance(net, GroupCAM):
        raise InputError(
            f'{name}: its model is {type(net).__name__}; GroupCAMInferencer '
            'is for stage 1, group_wsss.GroupCAM')
    # a head of words has names of its own
    own = getattr(net.head, 'own_classes', None)
    if own is not None:
        require_same_classes(names, 'this inferencer', *own)
    if net.head.num_classes != len(names):
        raise InputError(f'{len(names)} class names for a network of '
                         f'{net.head.num_classes} classes')
    if not tta:
        return names, net
    if not cfg.get('tta_model') or not cfg.get('tta_pipeline'):
        raise InputError(f'{name}: tta needs tta_model and tta_pipeline')
    return names, MODELS.build(dict(cfg.tta_model, module=net)).eval()


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Args:
        device (str): Such as ``'cuda:0'``.

    Raises:
        InputError: What torch says, in one line.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f'device {device!r}: {describe(error)}') from None
