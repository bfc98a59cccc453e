# Copyright (c) group_wsss contributors. All rights reserved.
"""Flat batches in which every ``group_size`` neighbours are one group."""
from functools import partial
from itertools import islice
from typing import Any, Iterator, List, Optional, Sequence, Union

import numpy as np
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler

from ...registry import DATA_SAMPLERS, TASK_UTILS
from ...structures.image_list import image_id_of, read_image_list
from ...utils.errors import InputError
from ..label_index import LabelIndex, check_group

# groups drawn at a time
_CHUNK = 256


def labels_of_dataset(dataset: Any) -> List[List[int]]:
    """Class ids of every image, from ``get_cat_ids`` or ``gt_label``.

    Args:
        dataset (Any): A dataset or a wrapper of mmengine's.

    Returns:
        list[list[int]]: One list per image.

    Raises:
        InputError: The dataset knows no image-level labels.
    """
    try:
        return [list(dataset.get_cat_ids(i)) for i in range(len(dataset))]
    except (AttributeError, NotImplementedError):
        # mmseg's datasets and mmengine's wrappers have no `get_cat_ids`
        if not hasattr(dataset, 'get_data_info'):
            raise InputError(_no_labels(dataset)) from None
    labels = []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        if 'gt_label' not in info:
            raise InputError(_no_labels(dataset))
        labels.append([int(c) for c in np.atleast_1d(info['gt_label'])])
    return labels


def _no_labels(dataset: Any) -> str:
    return (f'{type(dataset).__name__} has no image-level labels: set '
            'batch_sampler.labels or batch_sampler.ann_file')


def indices_from_start(sampler: InfiniteSampler) -> Iterator[int]:
    """Give the indices of an endless sampler, whatever it has given yet.

    Args:
        sampler (InfiniteSampler): Not changed.

    Yields:
        int: Indices of the sampler's process.
    """
    again = InfiniteSampler(
        range(sampler.size), shuffle=sampler.shuffle, seed=sampler.seed)
    again.rank, again.world_size = sampler.rank, sampler.world_size
    return again.indices


@DATA_SAMPLERS.register_module()
class GroupBatchSampler(BatchSampler):
    """Batches of groups: anchors of the base sampler and their partners.

    Anchors come from the base sampler in its order, partners from a
    :class:`LabelIndex`. A draw depends on (seed, epoch, anchor) alone, so
    all ranks together make the same groups whatever their number, and a
    resumed run draws what the interrupted one would have drawn.

    Args:
        sampler (DefaultSampler | InfiniteSampler): Gives the anchors. An
            epoch of the first is one pass over them; with the second the
            number of the pass follows from the position in the stream.
        batch_size (int): Images in a batch of one process, ``G * K``.
        drop_last (bool): Drop a last batch with fewer groups. A batch that
            is kept has whole groups always. Defaults to False.
        group_size (int): Images in a group ``K``; the first is the anchor.
            1 makes an ordinary batch sampler. Defaults to 4.
        match (str): ``'exact'`` (same label set, the released code's rule),
            ``'any'`` (one class in common), ``'each'`` or ``'none'``; see
            :meth:`LabelIndex.partners`. Defaults to 'exact'.
        seed (int, optional): Seed of the partners. Defaults to the seed of
            the base sampler.
        labels (Sequence[Sequence[int]], optional): Class ids of every image
            of the dataset, for datasets without image-level labels.
        ann_file (str, optional): Image list to read them from, matched by
            image id (the name of the image without suffix where the
            dataset has no ``img_id``).
        num_classes (int, optional): Defaults to the largest id plus one.
        index (dict, optional): Config of a function that gives the
            :class:`LabelIndex`, for lists that are too long to read; called
            with ``dataset``, ``labels``, ``num_classes`` and ``read``, which
            gives the labels of all images. Defaults to None, built in memory
            (others: ``group_wsss.contrib.big_lists.mapped_index``).

    Raises:
        InputError: ``batch_size`` is no multiple of ``group_size``, no class
            has ``group_size`` images, or there are no labels.
    """

    def __init__(self,
                 sampler: Union[DefaultSampler, InfiniteSampler],
                 batch_size: int,
                 drop_last: bool = False,
                 group_size: int = 4,
                 match: str = 'exact',
                 seed: Optional[int] = None,
                 labels: Optional[Sequence[Sequence[int]]] = None,
                 ann_file: Optional[str] = None,
                 num_classes: Optional[int] = None,
                 index: Optional[dict] = None) -> None:
        check_group(group_size, match)
        if batch_size % group_size:
            raise InputError(f'batch_size={batch_size} is not a multiple of '
                             f'group_size={group_size}')
        if labels is not None and ann_file is not None:
            raise InputError('give batch_sampler.labels or '
                             'batch_sampler.ann_file, not both')
        super().__init__(sampler, batch_size, drop_last)
        # torch's class promises neither a dataset nor a length
        self.sampler: Any = sampler
        self.group_size = group_size
        self.match = match
        self.seed = int(
            getattr(sampler, 'seed', None) or 0 if seed is None else seed)
        self._passes = 0
        self._stream: Optional[Iterator[List[int]]] = None
        self.index: Optional[LabelIndex] = None
        if group_size > 1:  # a plain batch sampler needs no labels
            read = partial(_read_labels, self.sampler.dataset, labels,
                           ann_file, num_classes)
            if index is None:
                self.index = LabelIndex(read(), num_classes)
            else:
                self.index = TASK_UTILS.build(
                    index,
                    default_args=dict(
                        dataset=self.sampler.dataset,
                        labels=labels,
                        num_classes=num_classes,
                        read=read))
            self._check_group_size(self.index)

    def __iter__(self) -> Iterator[List[int]]:
        """Yield lists of ``G * K`` dataset positions."""
        if isinstance(self.sampler, InfiniteSampler):
            # the base sampler goes on where it was, so must its position
            if self._stream is None:
                self._stream = self._infinite()
            return self._stream
        return self._finite()

    def __len__(self) -> int:
        """Batches in one pass over the anchors of this process."""
        groups = self.batch_size // self.group_size
        if self.drop_last:
            return len(self.sampler) // groups
        return -(-len(self.sampler) // groups)

    def skip(self, num_batches: int) -> None:
        """Go to a batch of an endless stream, as a resumed run must.

        No partners are drawn and no images read for what is passed over; the
        base sampler makes the order of its passes again.

        Args:
            num_batches (int): Batches of this process since the start of the
                stream, not since the last call.

        Raises:
            InputError: The base sampler is no ``InfiniteSampler``: an epoch
                of another one is found again by ``set_epoch``.
        """
        if not isinstance(self.sampler, InfiniteSampler):
            raise InputError(f'{type(self.sampler).__name__} cannot skip '
                             'batches, InfiniteSampler can')
        count = num_batches * (self.batch_size // self.group_size)
        base = self.sampler
        base.indices = islice(indices_from_start(base), count, None)
        self._stream = self._infinite(count)

    def _finite(self) -> Iterator[List[int]]:
        epoch = getattr(self.sampler, 'epoch', self._passes)
        self._passes += 1
        anchors, chunk = np.fromiter(self.sampler, np.int64), self._chunk()
        for start in range(0, len(anchors), chunk):
            yield from self._batches(anchors[start:start + chunk], epoch)

    def _infinite(self, skipped: int = 0) -> Iterator[List[int]]:
        base = iter(self.sampler)
        rank = getattr(self.sampler, 'rank', 0)
        world_size = getattr(self.sampler, 'world_size', 1)
        num_images = len(self.sampler.dataset)
        chunk = self._chunk()
        position = rank + world_size * skipped
        while True:
            anchors = np.fromiter(islice(base, chunk), np.int64)
            where = position + world_size * np.arange(len(anchors))
            position += world_size * len(anchors)
            yield from self._batches(anchors, where // num_images)

    def _chunk(self) -> int:
        """Anchors of whole batches: none is cut at the end of a chunk."""
        groups = self.batch_size // self.group_size
        return groups * -(-_CHUNK // groups)

    def _batches(self, anchors: np.ndarray, epoch: Any) -> Iterator[List[int]]:
        """Draw all partners in one call, then cut into batches."""
        table = anchors[:, None]
        if self.index is not None:
            drawn = self.index.partners(anchors, self.group_size - 1,
                                        self.match, self.seed, epoch)
            table = np.concatenate([table, drawn], axis=1)
        flat = table.reshape(-1).tolist()
        for start in range(0, len(flat), self.batch_size):
            batch = flat[start:start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def _check_group_size(self, index: LabelIndex) -> None:
        if self.match == 'none':
            largest, what = index.num_images, 'the data set'
        else:
            largest, what = index.max_group, 'the largest class'
        if self.group_size > largest:
            raise InputError(f'group_size={self.group_size} is larger than '
                             f'{what} ({largest} images)')


def _read_labels(dataset: Any, labels: Optional[Sequence[Sequence[int]]],
                 ann_file: Optional[str],
                 num_classes: Optional[int]) -> Sequence[Sequence[int]]:
    if ann_file is not None:
        records = read_image_list(ann_file, num_classes=num_classes).records
        known = {record.img_id: record.labels for record in records}
        labels = []
        for i in range(len(dataset)):
            img_id = image_id_of(dataset.get_data_info(i))
            if img_id not in known:
                raise InputError(f'{ann_file}: no line for image {img_id!r} '
                                 'of the dataset')
            labels.append(known[img_id])
    elif labels is None:
        labels = labels_of_dataset(dataset)
    if len(labels) != len(dataset):
        raise InputError(f'batch_sampler.labels has {len(labels)} entries, '
                         f'the dataset {len(dataset)} images')
    return labels
