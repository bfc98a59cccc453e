# Copyright (c) group_wsss contributors. All rights reserved.
"""Helpers shared by the hooks."""
import os.path as osp
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

import torch.nn as nn
from mmengine.dist import all_gather_object
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner, find_latest_checkpoint

from ..structures.image_list import image_id_of
from ..utils.errors import InputError
from ..utils.versions import sha256_of


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel and its like."""
    inner: Any = model
    while is_model_wrapper(inner):
        inner = inner.module
    return inner


def walk_datasets(dataset: Any) -> Iterator[Any]:
    """A dataset and all the datasets that it wraps.

    Args:
        dataset (Any): With ``dataset``, ``datasets`` or neither.
    """
    yield dataset
    inner = [
        getattr(dataset, 'dataset', None),
        *(getattr(dataset, 'datasets', None) or [])
    ]
    # the first one last: it speaks for all
    for item in reversed(inner):
        if item is not None:
            yield from walk_datasets(item)


def walk_transforms(dataset: Any) -> Iterator[Any]:
    """All transforms of a dataset, those inside others included.

    Args:
        dataset (Any): Wrapped or not; pipelines are found under
            ``pipeline``, inner transforms under ``transforms``.
    """
    for item in walk_datasets(dataset):
        yield from _inside(getattr(item, 'pipeline', None))


def _inside(item: Any) -> Iterator[Any]:
    """A transform, or those of a list, and all inside."""
    if isinstance(item, (list, tuple)):
        for one in item:
            yield from _inside(one)
    elif item is not None:
        if type(item).__name__ != 'Compose':
            yield item
        inner = getattr(item, 'transforms', None)
        if inner is not None and not callable(inner):
            yield from _inside(list(inner))


def transform_name(transform: Any) -> str:
    """Class name of a transform, through mmpretrain's torchvision wrapper."""
    inner = getattr(transform, 't', None)
    return type(transform if inner is None else inner).__name__


def loss_samples(args: tuple, kwargs: Dict[str, Any]) -> Optional[Sequence]:
    """Samples of a forward pass that computes losses.

    Args:
        args (tuple): As a torch forward hook gets them.
        kwargs (dict): Likewise.

    Returns:
        Sequence[DataSample], optional: None for a pass in another mode.
    """
    given = dict(zip(('inputs', 'data_samples', 'mode'), args), **kwargs)
    if given.get('mode') != 'loss':
        return None
    return given.get('data_samples') or ()


def known_classes(dataset: Any) -> Tuple[str, ...]:
    """Class names of a dataset, without background; none if it has none."""
    meta = getattr(dataset, 'metainfo', None) or {}
    return tuple(meta.get('classes') or ())


def dataset_classes(dataset: Any) -> Tuple[str, ...]:
    """Class names of a dataset, without background.

    Raises:
        InputError: Its metainfo has none.
    """
    classes = known_classes(dataset)
    if not classes:
        raise InputError(f'dataset {type(dataset).__name__}: metainfo has no '
                         'classes; set metainfo=dict(classes=[...])')
    return classes


def dataset_paths(dataset: Any) -> Dict[str, str]:
    """Files of the images of a data set, for the manifest of their labels.

    Args:
        dataset (Any): Wrapped or not.

    Returns:
        dict[str, str]: By image id, relative to ``data_prefix['img_path']``;
        a file elsewhere keeps its whole path.
    """
    paths = {}
    for item in walk_datasets(dataset):
        wraps = hasattr(item, 'dataset') or hasattr(item, 'datasets')
        if wraps or not hasattr(item, 'get_data_info'):
            continue
        prefix = getattr(item, 'data_prefix', {}).get('img_path') or ''
        start = prefix.rstrip('/') + '/'
        for place in range(len(item)):
            info = item.get_data_info(place)
            path = str(info.get('img_path') or '')
            if path:
                inside = path.startswith(start)
                paths[image_id_of(info)] = path[len(start) * inside:]
    return paths


def batches_done(runner: Runner) -> int:
    """Batches that training has taken from its stream of them.

    Args:
        runner (Runner): With a train loop.

    Returns:
        int: Since the start of training in an iteration-based loop, of the
        current epoch in an epoch-based one.
    """
    loop = runner.train_loop
    if isinstance(loop, IterBasedTrainLoop):
        return runner.iter
    # not by the DataLoader, which may hold the rest of an epoch alone
    return runner.iter - runner.epoch * (loop.max_iters // loop.max_epochs)


def is_resumed(runner: Runner) -> bool:
    """Tell whether a run goes on where an earlier one stopped.

    Args:
        runner (Runner): Its config says ``resume=True``, as ``--resume`` of
            all tools sets it.
    """
    return bool(runner.cfg.get('resume', False))


def saved_checkpoint(runner: Runner,
                     epoch: Optional[int],
                     iteration: int,
                     newest: Optional[str] = None) -> Optional[str]:
    """The checkpoint that a ``CheckpointHook`` has saved at a step.

    Args:
        runner (Runner): The runner.
        epoch (int, optional): Epochs done, for hooks that count them; None
            in the middle of one, where theirs do not count.
        iteration (int): Iterations done, for the others.
        newest (str, optional): Taken for the last one of a hook that has
            saved none. Defaults to None.

    Returns:
        str or None: The file; one of another step does not count.
    """
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            step = epoch if hook.by_epoch else iteration
            if step is None:
                continue
            path = getattr(hook, 'last_ckpt', None) or newest
            if path and osp.basename(path) == hook.filename_tmpl.format(step):
                return path
    return None


def trained_checkpoint(runner: Runner) -> Optional[str]:
    """The checkpoint that holds the weights after training, if any does.

    Args:
        runner (Runner): At the end of its training.

    Returns:
        str or None: The file of this very epoch or iteration; an older one,
        or one that another run left in the work dir, does not count.
    """
    newest = None
    if is_resumed(runner):  # maybe nothing was left to train
        newest = find_latest_checkpoint(runner.work_dir)
    return saved_checkpoint(runner, runner.epoch, runner.iter, newest)


def describe_checkpoint(path: Optional[str]) -> Dict[str, Optional[str]]:
    """Name and checksum of a checkpoint for a manifest.

    Args:
        path (str, optional): A file, an address or None.

    Returns:
        dict: ``name`` (base name) and ``sha256``; None where unknown.
    """
    if not path:
        return dict(name=None, sha256=None)
    path = str(path)
    known = osp.isfile(path)
    return dict(
        name=osp.basename(path), sha256=sha256_of(path) if known else None)


def gather_dicts(own: Dict[Any, Any]) -> Dict[Any, Any]:
    """Union of the dicts of all ranks, on all ranks.

    A key that several ranks have (a sampler repeats images to give every
    rank the same number) is kept once.

    Args:
        own (dict): This rank's, small.

    Returns:
        dict: Sorted by key.
    """
    merged: Dict[Any, Any] = {}
    for part in all_gather_object(own):
        merged.update(part)
    return dict(sorted(merged.items()))
