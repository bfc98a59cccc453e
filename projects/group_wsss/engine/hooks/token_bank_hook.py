# Copyright (c) group_wsss contributors. All rights reserved.
import copy
import hashlib
import os
import os.path as osp
from typing import Any, Dict, Iterator, List, Optional, Tuple

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import barrier, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner, autocast
from torch.utils.data import DataLoader, Dataset

from ...datasets import GroupedDataset
from ...models.classifiers import GroupCAM
from ...models.classifiers.token_graph import TokenGraph
from ...pseudo_labels.score_size import human_bytes
from ...registry import DATASETS, HOOKS
from ...structures import TokenBank
from ...structures.image_list import image_id_of
from ...utils.errors import CorruptImageError, InputError
from ...utils.progress import Progress
from ..utils import gather_dicts, unwrap_model


@HOOKS.register_module()
class TokenBankHook(Hook):
    """Let the partners of a test send from a bank of tokens.

    Before a test loop over a ``GroupedDataset``, one pass over the images
    writes tokens of each into ``<work_dir>/token_bank``. In the loop an image
    is then read with its partners' tokens in place of its partners. Who they
    are does not change. A loop with scales and flips (``TTATestLoop``) has
    tokens of the plain test pipeline: partners send at scale 1, unflipped.

    What a killed process leaves is used by the next one, whatever its number
    of processes; tokens of other weights, images or settings are made anew.
    Labels are the same bytes. Tokens stay in the work dir, for another K or
    another draw. Without scales and flips the maps of each image lie beside
    them until labels are written, so that the backbone runs once an image;
    where they would fill more than half of the free disk, it runs twice.

    Groups of one, or a model without a graph, are left alone. It fits
    ``GroupCAM`` with one round of messages (``num_steps=1``) from whitened or
    contrast keys, without gate, and ``update='mix'``.

    Args:
        pool_size (int): Tokens of an image are averages over a grid of at
            most ``pool_size ** 2`` cells. Defaults to 8.

    Raises:
        InputError: ``pool_size`` is not positive, the model does not fit, or
            the disk is too small.
    """

    # once the folder for labels is known to be good, and after labels
    priority = 'VERY_LOW'

    def __init__(self, pool_size: int = 8) -> None:
        if not isinstance(pool_size, int) or pool_size < 1:
            raise InputError(f'pool_size={pool_size!r} of TokenBankHook must '
                             'be an integer of at least 1')
        self.pool_size = pool_size
        self.bank: Optional[TokenBank] = None

    def before_train(self, runner: Runner) -> None:
        """Find out before training that the model does not fit."""
        if runner.test_loop is not None:
            self._applies(runner)

    def _applies(self, runner: Runner) -> bool:
        """Tell if there are partners, and see that the model fits."""
        dataset = runner.test_loop.dataloader.dataset
        model = _inner(runner)
        graph = getattr(model, 'neck', None)
        if (not isinstance(dataset, GroupedDataset) or dataset.group_size == 1
                or graph is None or not graph.has_graph(dataset.group_size)):
            return False
        if type(model) is not GroupCAM:
            raise InputError(f'model.type {type(model).__name__} does not go '
                             'with TokenBankHook, which is made for GroupCAM: '
                             'set default_hooks.token_bank=None')
        TokenGraph.check(model)
        return True

    @torch.no_grad()
    def before_test(self, runner: Runner) -> None:
        """Write what the bank lacks."""
        if not self._applies(runner):
            return
        loop, model = runner.test_loop, _inner(runner)
        dataset = loop.dataloader.dataset
        model.eval()
        keys = model.neck.coattention.whiten
        keys.settle()  # or the first image would change the fingerprint
        views = isinstance(unwrap_model(runner.model), BaseTTAModel)
        images = _images(runner, views)
        fp16 = getattr(loop, 'fp16', False)
        bank = self.bank = TokenBank(
            osp.join(runner.work_dir, 'token_bank'), len(dataset.reference),
            self.pool_size**2,
            len(keys.weight) + model.head.num_classes,
            _fingerprint(runner, dataset.reference, fp16, self.pool_size))
        if is_main_process():
            bank.begin()
        barrier()
        bank.open()
        needed = dataset.partner_places()
        missing = [place for place in needed if bank.read(place) is None]
        runner.logger.info(
            f'token bank of {len(needed)} images in {bank.folder}: '
            f'{human_bytes(bank.nbytes)}, {len(missing)} images to go')
        barrier()  # all have counted before one writes
        graph = TokenGraph(bank, self.pool_size, use_maps=not views)
        kept = set()
        if not views and dataset.reference is dataset.dataset:
            kept = set(dataset.anchors.tolist()) & set(missing)
        room: Optional[bool] = None
        unreadable: Dict[int, str] = {}
        mine = missing[get_rank()::get_world_size()]
        for place, item in _read(images, mine, loop.dataloader.num_workers,
                                 getattr(dataset.dataset, 'on_corrupt', '')):
            if isinstance(item, str):
                unreadable[place] = item
                continue
            data = model.data_preprocessor(pseudo_collate([item]), False)
            with autocast(enabled=fp16):
                own = graph.own_maps(model, **data)[0]
            if place in kept:
                if room is None:
                    room = _has_room(runner, bank, own.numel() * len(kept))
                if room:  # first: an image with tokens has its maps
                    bank.write_map(place, own.cpu().numpy())
            bank.write(place, graph.tokens(model, own).cpu().numpy())
        barrier()
        dataset.unreadable = gather_dicts(unreadable)
        dataset.from_bank = True
        model.token_graph = graph

    def after_test(self, runner: Runner) -> None:
        """Remove the maps."""
        if self.bank is None:
            return
        _inner(runner).token_graph = None
        barrier()
        if is_main_process():
            self.bank.remove_maps()
        self.bank = None


def _inner(runner: Runner) -> Any:
    """The model inside its wrappers, that of augmentation included."""
    model = unwrap_model(runner.model)
    if isinstance(model, BaseTTAModel):
        model = unwrap_model(model.module)
    return model


def _has_room(runner: Runner, bank: TokenBank, numbers: int) -> bool:
    """Tell if maps of so many numbers may be kept for a while."""
    need = numbers * bank.dtype().itemsize
    fits = 2 * need <= bank.free_bytes()
    how = ('until labels are written' if fits else
           'too much for the disk: the backbone runs a second time')
    runner.logger.info(f'maps of the images need about {human_bytes(need)}, '
                       f'{how}')
    return fits


def _settings(runner: Runner) -> dict:
    """Config of the data set that partners come from."""
    loader = runner.cfg.get('test_dataloader', None) or {}
    grouped = loader.get('dataset', None) or {}
    return grouped.get('reference', None) or grouped.get('dataset', None) or {}


def _images(runner: Runner, views: bool) -> Any:
    """The images of the bank, each as one view."""
    if not views:
        return runner.test_loop.dataloader.dataset.reference
    settings = _settings(runner)
    if not settings:
        raise InputError('TokenBankHook finds no test_dataloader.dataset in '
                         'the config, whose pipeline it takes where images '
                         'are augmented')
    return DATASETS.build(copy.deepcopy(settings))


def _fingerprint(runner: Runner, reference: Any, fp16: bool,
                 pool_size: int) -> str:
    """Of weights, list and settings."""
    model, cfg = _inner(runner), runner.cfg
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if isinstance(value, torch.Tensor):
            digest.update(f'{name}{value.dtype}{tuple(value.shape)}'.encode())
            data: Any = value.detach().cpu().contiguous().flatten()
            digest.update(data.view(torch.uint8).numpy())
    settings = (pool_size, fp16, repr(model), cfg.get('model', None),
                cfg.get('data_preprocessor', None), _settings(runner))
    digest.update(repr(settings).encode())
    for place in range(len(reference)):
        info = reference.get_data_info(place)
        line = f'{image_id_of(info)} {_state_of(info.get("img_path"))}\n'
        digest.update(line.encode())
    return digest.hexdigest()


def _state_of(path: Any) -> str:
    """Size and time of an image file: an edited one has other tokens."""
    try:
        found = os.stat(str(path))
    except OSError:  # an address, or told where it is read
        return ''
    return f'{found.st_size} {found.st_mtime_ns}'


class _Items(Dataset):
    """A data set, for loader workers; text where an image is damaged."""

    def __init__(self, images: Any, skip: bool) -> None:
        self.images, self.skip = images, skip

    def __getitem__(self, place: int) -> Any:
        try:
            return self.images[place]
        except CorruptImageError as error:
            if not self.skip:
                raise
            return str(error)


def _as_it_is(item: Any) -> Any:
    return item


def _read(images: Any, places: List[int], workers: int,
          on_corrupt: str) -> Iterator[Tuple[int, Any]]:
    """Places and packed items, or why an image cannot be decoded."""
    loader: Any = DataLoader(
        _Items(images, on_corrupt == 'skip'),
        batch_size=None,
        sampler=places,
        num_workers=workers,
        collate_fn=_as_it_is,
        # the seeds of workers are not drawn from the runner's
        generator=torch.Generator())
    if is_main_process():
        loader = Progress('token bank').over(loader, len(places))
    # the loader first: it is asked once more, and tells its progress
    for item, place in zip(loader, places):
        yield place, item
