# Copyright (c) group_wsss contributors. All rights reserved.
"""Class names of the data sets of a run, and what they have to agree with."""
import os.path as osp
from typing import Any, Iterator, List, Tuple

from mmengine.runner import Runner

from ..datasets import PseudoLabelDataset
from ..structures.dump import label_ids
from ..structures.manifest import MANIFEST, Manifest
from ..utils.classes import require_same_classes
from .utils import known_classes, walk_datasets


def named_datasets(runner: Runner) -> Iterator[Tuple[str, Any]]:
    """Data sets of the loops that are built.

    Args:
        runner (Runner): The runner.

    Yields:
        tuple[str, Dataset]: What to call it in a message, and the data set;
        those without class names are left out.
    """
    # the public properties would build the loops that are not there yet
    loops = dict(
        train=runner._train_loop, val=runner._val_loop, test=runner._test_loop)
    for kind, loop in loops.items():
        dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        if known_classes(dataset):
            inner = list(walk_datasets(dataset))[-1]
            source = getattr(inner, 'manifest', None) or getattr(
                inner, 'ann_file', None) or ''
            if not source.endswith('.json'):  # its type has the names
                source = f'{type(inner).__name__} {source}'.strip()
            yield f'{source} ({kind}_dataloader)', dataset


def check_class_names(runner: Runner) -> None:
    """Refuse data sets that number the classes in different ways.

    Those of all loops are compared with each other, and each with the dump
    that it reads its label images from; of a dump, only labels that its list
    of ids names are read. Its label 0 is the background.

    Args:
        runner (Runner): With its loops built.

    Raises:
        InputError: The first difference; both sources are named.
    """
    found: List[Tuple[str, Any]] = list(named_datasets(runner))
    for source, dataset in found:
        names = dataset.metainfo['classes']
        first, other = found[0]
        require_same_classes(names, source, other.metainfo['classes'], first)
        for inner in walk_datasets(dataset):
            prefix = getattr(inner, 'data_prefix', None)
            folder = (prefix.get('seg_map_path')
                      if isinstance(prefix, dict) else None) or ''
            manifest = Manifest.find(folder) if folder else None
            if manifest is None or isinstance(inner, PseudoLabelDataset):
                continue  # the latter looks itself
            if getattr(inner, 'label_map', None):  # mmseg maps by name
                names = inner.METAINFO['classes']
            if getattr(inner, 'reduce_zero_label', False):
                names = ('background', *names)
            require_same_classes(names, source, manifest.classes,
                                 osp.join(folder, MANIFEST))
            paths = [
                str(inner.get_data_info(i).get('seg_map_path'))
                for i in range(len(inner))
            ]
            label_ids(
                folder,
                [osp.splitext(osp.relpath(path, folder))[0] for path in paths])
