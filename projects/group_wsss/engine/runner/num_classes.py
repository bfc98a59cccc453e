# Copyright (c) group_wsss contributors. All rights reserved.
"""The number of classes of a model, from the data that it will see."""
from typing import Any, Sequence, Tuple

from mmengine.registry import DefaultScope

from ...registry import DATASETS
from ...utils.config import walk
from ...utils.errors import InputError

# value of `num_classes` in a config that leaves the number to the data
FROM_DATA = 'from_data'
_TAGS = 'group_wsss.ImageLevelDataset'
# datasets whose class names come from a file
_OWN = (_TAGS, 'group_wsss.PseudoLabelDataset')
# what an index PNG can tell apart, without background and 255
_MOST = 254


def class_names_of(data: dict) -> Tuple[str, ...]:
    """Class names of a dataset, from its config; no image is touched.

    Args:
        data (dict): Config of a dataset that wraps no other.

    Returns:
        tuple[str]: As in ``metainfo``; for stage 2 with the background.

    Raises:
        InputError: The file with the names is missing, malformed or without
            names.
    """
    dataset = DATASETS.build(dict(data, pipeline=[], lazy_init=True))
    if dataset.metainfo.get('classes') is None:
        if not hasattr(dataset, 'read_list'):
            raise InputError(f'{type(dataset).__name__} knows no class names: '
                             'set num_classes')
        # the names of an image list are known when it is read
        dataset.read_list()
    return tuple(dataset.metainfo['classes'])


def settle_num_classes(cfg: Any, loaders: Sequence[str]) -> None:
    """Let the number of classes follow the data, or see that both agree.

    Every ``num_classes='from_data'`` in ``cfg.model`` becomes the number of
    names that the first loader's dataset has. A number is compared with it,
    if the dataset is one whose names come from a file
    (``ImageLevelDataset``, ``PseudoLabelDataset``). All other configs stay
    as they are.

    Args:
        cfg (mmengine.Config): Changed in place.
        loaders (Sequence[str]): Names such as ``'train_dataloader'``, in
            order of preference; absent ones are skipped.

    Raises:
        InputError: Number and names disagree, more classes than a label
            image can hold, no data to count, or what reading them raises.
    """
    if cfg.get('model', None) is None:
        return
    settings = [(node, f'{where}.num_classes')
                for where, node in walk(cfg.model, 'model')
                if isinstance(node, dict) and 'num_classes' in node]
    open_ones = [
        key for node, key in settings if node['num_classes'] == FROM_DATA
    ]
    for name in loaders:
        data, where = cfg.get(name, None), name
        while isinstance(data, dict) and 'dataset' in data:
            data, where = data['dataset'], f'{where}.dataset'
        if isinstance(data, dict) and (open_ones or data.get('type') in _OWN):
            break
    else:
        if open_ones:
            raise InputError(f'{open_ones[0]} is to follow the data, but '
                             f'there is no {" or ".join(loaders)}')
        return
    # mmseg's and mmpretrain's own datasets are named without scope
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        count = len(class_names_of(data))
    source = f'the data ({where}.ann_file: {data.get("ann_file")})'
    if data.get('type') == _TAGS and count > _MOST:
        raise InputError(f'{source} names {count} classes: label images hold '
                         f'at most {_MOST}')
    for node, key in settings:
        if node['num_classes'] == FROM_DATA:
            node['num_classes'] = count
        elif node['num_classes'] not in (None, count):
            raise InputError(f'{key} is {node["num_classes"]}, but {source} '
                             f'names {count} classes')
