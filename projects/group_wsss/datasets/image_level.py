# Copyright (c) group_wsss contributors. All rights reserved.
"""Images with image-level labels, from the one list format."""
import logging
from functools import cached_property
from typing import Any, Dict, FrozenSet, List, Optional, Sequence, Union

import numpy as np
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.fileio import join_path
from mmengine.logging import print_log
from mmpretrain.datasets import MultiLabelDataset

from ..registry import DATASETS
from ..structures.folders import missing_files
from ..structures.image_list import ImageList, ImageRecord, read_image_list
from ..utils.errors import CorruptImageError, InputError
from .stand_ins import first_readable, stand_ins
from .transforms import LoadImage

UNLABELED = ('keep', 'drop', 'error')
ON_CORRUPT = ('error', 'skip')


def require_listed(paths: Sequence[str], what: str, ann_file: str) -> None:
    """Refuse a list of which files are missing; say how many."""
    missing = missing_files(paths)
    if missing:
        raise InputError(f'{paths[missing[0]]}: no such {what} '
                         f'({len(missing)} of {len(paths)} in {ann_file} are '
                         'missing)')


@DATASETS.register_module()
class ImageLevelDataset(MultiLabelDataset):
    """Images and the classes that are in them.

    An item starts as ``dict(img_id, img_path, gt_label)``; ``gt_label`` is
    an int64 array of 0-based class ids.

    Args:
        ann_file (str): Image list (txt, csv or json; see
            :func:`read_image_list`), relative to ``data_root``.
        data_root (str): Root of ``ann_file`` and ``data_prefix``. Defaults
            to ''.
        data_prefix (str | dict): Folder of the images. Defaults to
            ``dict(img_path='JPEGImages')``.
        img_suffix (str): Suffix of an image whose list entry gives no
            path. Defaults to '.jpg'.
        unlabeled (str, optional): What to do with images without any
            class: ``'keep'``, ``'drop'`` (one warning with their number) or
            ``'error'``. Defaults to 'keep' with ``test_mode``, else 'drop'.
        check_files (bool): Look once whether all images are there, by
            one listing per folder. Defaults to True.
        on_corrupt (str): What to do with an image that cannot be
            decoded: ``'error'`` names it and ends the run. ``'skip'`` trains
            on another one instead (:meth:`stand_ins`), always the same: all
            other images keep their groups. Its sample carries
            ``skipped``, id and reason, for ``SkippedImagesHook``. With
            ``test_mode`` it is ``GroupedDataset`` that skips. Defaults to
            'error'.
        **kwargs: Of ``mmpretrain.MultiLabelDataset``; class names come from
            ``classes``, ``metainfo.classes``, ``METAINFO`` or a JSON list.

    Raises:
        InputError: A malformed list, missing images, no class names.
    """

    def __init__(self,
                 ann_file: str,
                 data_root: str = '',
                 data_prefix: Union[str, dict] = dict(img_path='JPEGImages'),
                 img_suffix: str = '.jpg',
                 unlabeled: Optional[str] = None,
                 check_files: bool = True,
                 on_corrupt: str = 'error',
                 test_mode: bool = False,
                 **kwargs: Any) -> None:
        if unlabeled is None:
            unlabeled = 'keep' if test_mode else 'drop'
        for name, value, known in (('unlabeled', unlabeled, UNLABELED),
                                   ('on_corrupt', on_corrupt, ON_CORRUPT)):
            if value not in known:
                raise InputError(f'{name}={value!r} is not one of {known}')
        if not ann_file:
            raise InputError('ann_file is empty: give an image list')
        self.img_suffix = img_suffix
        self.unlabeled = unlabeled
        self.check_files = check_files
        self.on_corrupt = on_corrupt
        self._stand_ins: Dict[int, List[int]] = {}
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix,
            test_mode=test_mode,
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read the list and check it against classes and files."""
        data_list = [
            dict(
                img_id=record.img_id,
                img_path=join_path(
                    self.img_prefix, record.path
                    or record.img_id + self.img_suffix),
                gt_label=np.array(record.labels, dtype=np.int64))
            for record in self.load_records()
        ]
        if self.check_files:
            require_listed([info['img_path'] for info in data_list], 'image',
                           self.ann_file)
        return data_list

    def load_records(self) -> List[ImageRecord]:
        """The records of ``ann_file``; subclasses may add labels to them."""
        return self.read_list().records

    def read_list(self) -> ImageList:
        """Read ``ann_file`` and settle the class names."""
        classes = self._metainfo.get('classes')
        if classes is not None:
            classes = self._valid_classes(classes)
        content = read_image_list(self.ann_file, classes)
        if content.classes is None:
            raise InputError(f'{self.ann_file} carries no class names: set '
                             'metainfo.classes')
        self._metainfo['classes'] = self._valid_classes(content.classes)
        return content

    @staticmethod
    def _valid_classes(classes: Any) -> tuple:
        if isinstance(classes, str) or not all(
                isinstance(name, str) and name for name in classes):
            raise InputError('metainfo.classes must be a list of names')
        if not len(classes):
            raise InputError('metainfo.classes is empty')
        if len(set(classes)) < len(classes):
            raise InputError('metainfo.classes names a class twice')
        return tuple(classes)

    def filter_data(self) -> List[dict]:
        """Treat images without a class as ``unlabeled`` says."""
        bare = [info for info in self.data_list if not len(info['gt_label'])]
        if not bare or self.unlabeled == 'keep':
            return self.data_list
        what = (f'{self.ann_file}: {len(bare)} of {len(self.data_list)} '
                'images have no class')
        if self.unlabeled == 'error':
            raise InputError(f'{what}, first {bare[0]["img_id"]!r}')
        if len(bare) == len(self.data_list):
            raise InputError(f'{what}: nothing to train on')
        print_log(
            f'{what} and are left out (unlabeled="drop")',
            logger='current',
            level=logging.WARNING)
        return [info for info in self.data_list if len(info['gt_label'])]

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline; a bad image is treated as configured."""
        try:
            return self._prepare(idx)
        except CorruptImageError as error:
            if self.on_corrupt == 'error' or self.test_mode:
                raise
            reason = str(error)
        _, data = first_readable(self.stand_ins(idx), self._prepare, reason)
        if isinstance(data, dict) and 'data_samples' in data:
            img_id = self.get_data_info(idx)['img_id']
            data['data_samples'].set_metainfo(dict(skipped=(img_id, reason)))
        return data

    def _prepare(self, idx: int) -> Any:
        data = super().prepare_data(idx)
        if data is None:
            path = self.get_data_info(idx)['img_path']
            raise InputError(f'{path}: the pipeline gave no image')
        return data

    def stand_ins(self, idx: int) -> List[int]:
        """Images that may take the place of one, best first.

        Args:
            idx (int): Its position.

        Returns:
            list[int]: See :func:`~group_wsss.datasets.stand_ins.stand_ins`.
        """
        if idx not in self._stand_ins:
            self._stand_ins[idx] = stand_ins(self, idx)
        return self._stand_ins[idx]

    @cached_property
    def places_by_labels(self) -> Dict[FrozenSet[int], List[int]]:
        """Positions of the images with a set of class ids, ascending."""
        places: Dict[FrozenSet[int], List[int]] = {}
        for place in range(len(self)):
            labels = frozenset(self.get_cat_ids(place))
            places.setdefault(labels, []).append(place)
        return places

    def corrupt_images(self) -> Dict[int, str]:
        """Read every image once; the processes share the work.

        Returns:
            dict[int, str]: Position and reason of those that cannot be
            decoded, ascending, the same in all processes, which all have to
            call.

        Raises:
            InputError: Anything else is wrong, or no ``LoadImage`` in the
                pipeline.
        """
        steps = [
            t for t in self.pipeline.transforms if isinstance(t, LoadImage)
        ]
        if not steps:
            raise InputError("on_corrupt='skip' needs a pipeline with "
                             'group_wsss.LoadImage')
        found = {}
        for idx in range(get_rank(), len(self), get_world_size()):
            try:
                steps[0].load(self.get_data_info(idx)['img_path'])
            except CorruptImageError as error:
                found[idx] = str(error)
        parts = all_gather_object(found)
        return dict(sorted(item for part in parts for item in part.items()))

    def get_cat_ids(self, idx: int) -> List[int]:
        """Class ids of one image.

        Args:
            idx (int): Its position.

        Returns:
            list[int]: Sorted, may be empty.
        """
        return self.get_data_info(idx)['gt_label'].tolist()
