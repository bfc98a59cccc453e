# Copyright (c) group_wsss contributors. All rights reserved.
"""Groups for inference: who stands together depends on names alone."""
from typing import Any, Dict, List, Optional, Set, Tuple, Union

import numpy as np
from mmengine.dataset import BaseDataset

from ..registry import DATASETS
from ..structures.image_list import image_id_of
from ..utils.classes import require_same_classes
from ..utils.errors import CorruptImageError, InputError
from .label_index import LabelIndex, check_group
from .samplers import labels_of_dataset
from .stand_ins import first_readable, id_key


@DATASETS.register_module()
class GroupedDataset:
    """Every item is a group: the image and ``group_size - 1`` partners.

    Partners are decided by (image id, seed) over the images of the reference
    sorted by id: neither the order of the list nor batch size or number of
    processes can change them.

    With ``on_corrupt='skip'`` of ``dataset`` all its images are read
    once before the first group is: those that cannot be decoded are no
    anchors, and ``skipped`` says which and why. A partner that cannot be
    decoded gives its place to another image (see
    :meth:`ImageLevelDataset.stand_ins`); all other groups stay as they are.

    Args:
        dataset (BaseDataset | dict): What is tested. Its items are packed,
            that is dicts with ``data_samples``.
        group_size (int): Images in a group ``K``. Defaults to 4.
        match (str): Rule of :meth:`LabelIndex.partners`. Defaults to 'any'.
        seed (int): Seed of the draw. Defaults to 0.
        reference (BaseDataset | dict, optional): Where partners come from.
            Defaults to ``dataset`` itself.
        lazy_init (bool): Do not read the lists yet. Defaults to False.

    Raises:
        InputError: Duplicate ids, a single image and ``group_size > 1``, or
            no image that can be read.
    """

    def __init__(self,
                 dataset: Union[BaseDataset, dict],
                 group_size: int = 4,
                 match: str = 'any',
                 seed: int = 0,
                 reference: Union[BaseDataset, dict, None] = None,
                 lazy_init: bool = False) -> None:
        check_group(group_size, match)
        self.dataset = _build(dataset)
        self.reference = (
            self.dataset if reference is None else _build(reference))
        self.group_size = group_size
        self.match = match
        self.seed = seed
        self.group_partners = np.zeros((0, 0), np.int64)
        # position in `dataset` of each anchor
        self.anchors = np.zeros(0, np.int64)
        # image id -> why there is no group of it
        self.skipped: Dict[str, str] = {}
        # set by `TokenBankHook`: items are anchors, whose samples name places
        # of their partners in the reference (and of themselves, or -1) in
        # `bank_places`; partners that could not be decoded, and why
        self.from_bank = False
        self.unreadable: Dict[int, str] = {}
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """Meta information of the wrapped data set."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read the lists and draw all partners in one call."""
        if self._fully_initialized:
            return
        self.dataset.full_init()
        if self.reference is not self.dataset:
            self.reference.full_init()
            names, others = (
                data.metainfo.get('classes')
                for data in (self.reference, self.dataset))
            if names and others:
                require_same_classes(names, 'reference', others, 'dataset')
        if self.group_size > 1:
            self.group_partners = self._draw()
        self.anchors = np.arange(len(self.dataset))
        if self._skips:
            self._leave_out(self.dataset.corrupt_images())
        self._fully_initialized = True

    def __len__(self) -> int:
        self.full_init()
        return len(self.anchors)

    @property
    def _skips(self) -> bool:
        return getattr(self.dataset, 'on_corrupt', 'error') == 'skip'

    def _leave_out(self, corrupt: Dict[int, str]) -> None:
        """Have no groups of these anchors."""
        if len(corrupt) == len(self.anchors) > 0:
            raise InputError(f'{next(iter(corrupt.values()))} (as are all '
                             f'{len(corrupt)} images)')
        self.skipped = {
            image_id_of(self.dataset.get_data_info(i)): reason
            for i, reason in corrupt.items()
        }
        self.anchors = np.delete(self.anchors, list(corrupt))
        if self.group_size > 1:
            self.group_partners = np.delete(
                self.group_partners, list(corrupt), axis=0)

    def __getitem__(self, idx: int) -> List[Dict[str, Any]]:
        """The group of an image.

        Args:
            idx (int): Position of the anchor.

        Returns:
            list[dict]: ``K`` packed items, the anchor first; the meta
            information ``group_slot`` of their data samples counts from 0.
            After ``TestTimeAug`` an item holds a list of augmentations.

        Raises:
            InputError: Items are not packed, or not augmented alike.
        """
        self.full_init()
        group = [self.dataset[int(self.anchors[idx])]]
        places: Optional[Tuple[int, ...]] = None
        if self.from_bank:
            own = self.anchors[idx] if self.reference is self.dataset else -1
            places = (int(own), *self._partners(idx))
        elif self.group_size > 1:
            group += self._partners(idx)
        views = set()
        for slot, item in enumerate(group):
            if not isinstance(item, dict) or 'data_samples' not in item:
                raise InputError('the pipeline of a GroupedDataset must end '
                                 'with mmpretrain.PackInputs')
            samples, augmented = item['data_samples'], True
            if not isinstance(samples, list):
                samples, augmented = [samples], False
            views.add((augmented, len(samples)))
            for sample in samples:
                sample.set_metainfo(dict(group_slot=slot))
                if places is not None:
                    sample.set_metainfo(dict(bank_places=places))
        if len(views) > 1:
            raise InputError('dataset and reference of a GroupedDataset must '
                             'have the same test-time augmentations')
        return group

    def partner_places(self) -> List[int]:
        """Places in the reference of all that a group may ask, ascending.

        Any image may stand in where some are left out.
        """
        self.full_init()
        if self._skips:
            return list(range(len(self.reference)))
        return np.unique(self.group_partners).tolist()

    def _partners(self, idx: int) -> List[Any]:
        places = self.group_partners[idx].tolist()
        items, taken = [], {image_id_of(self.get_data_info(idx))}
        taken |= {self._reference_id(place) for place in places}
        for place in places:
            try:
                items.append(self._load(place))
            except CorruptImageError as error:
                if not self._skips:
                    raise
                items.append(self._stand_in(place, taken, str(error)))
        return items

    def _load(self, place: int) -> Any:
        """An image of the reference, or its place where a bank has it."""
        if not self.from_bank:
            return self.reference[place]
        if place in self.unreadable:
            raise CorruptImageError(self.unreadable[place])
        return place

    def _stand_in(self, place: int, taken: Set[str], reason: str) -> Any:
        """Another image of the reference; its id is added to ``taken``."""
        # one that the group has not, if there is any
        places = sorted(
            self.reference.stand_ins(place),
            key=lambda i: self._reference_id(i) in taken)
        other, item = first_readable(places, self._load, reason)
        taken.add(self._reference_id(other))
        return item

    def _reference_id(self, place: int) -> str:
        return image_id_of(self.reference.get_data_info(place))

    def get_data_info(self, idx: int) -> dict:
        """Data information of the anchor."""
        self.full_init()
        return self.dataset.get_data_info(int(self.anchors[idx]))

    def get_cat_ids(self, idx: int) -> List[int]:
        """Class ids of the anchor."""
        self.full_init()
        return self.dataset.get_cat_ids(int(self.anchors[idx]))

    def _draw(self) -> np.ndarray:
        """int64 ``(N, K - 1)`` positions in the reference."""
        names, labels = _names_and_labels(self.dataset)
        pool_names, pool_labels = names, labels
        if self.reference is not self.dataset:
            pool_names, pool_labels = _names_and_labels(self.reference)
        # images to label may have classes that no partner has
        num_classes = 1 + max(
            (max(ids) for ids in labels + pool_labels if ids), default=0)
        order = sorted(range(len(pool_names)), key=pool_names.__getitem__)
        index = LabelIndex([pool_labels[i] for i in order], num_classes)
        where = {pool_names[i]: place for place, i in enumerate(order)}
        drawn = index.query(
            labels,
            keys=np.array([id_key(name) for name in names], np.uint64),
            exclude=np.array([where.get(name, -1) for name in names]),
            size=self.group_size - 1,
            match=self.match,
            seed=self.seed)
        return np.array(order, np.int64)[drawn]


def _build(dataset: Union[BaseDataset, dict]) -> Any:
    return DATASETS.build(dataset) if isinstance(dataset, dict) else dataset


def _names_and_labels(dataset: Any) -> Tuple[List[str], List[List[int]]]:
    names = [
        image_id_of(dataset.get_data_info(i)) for i in range(len(dataset))
    ]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f'duplicate image id {twice!r} in '
                         f'{type(dataset).__name__}')
    return names, labels_of_dataset(dataset)
