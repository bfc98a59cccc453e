# Copyright (c) group_wsss contributors. All rights reserved.
import logging
import os.path as osp
from typing import Any, List, Sequence, Tuple, Union

from mmengine.logging import print_log

from ..registry import DATASETS
from ..structures.coco_json import find_images, index_instances, read_instances
from ..structures.label_image import voc_palette
from ..utils.classes import require_same_classes
from .image_level import ImageLevelDataset


@DATASETS.register_module()
class CocoImageLevel(ImageLevelDataset):
    """COCO images and the classes that are in them.

    Reads ``instances_*.json`` of COCO 2014 or 2017, or any JSON of that
    form; segmentations are dropped while it is parsed. Class names and their
    order are those of its categories by ascending id. The defaults are the
    field's: every annotation counts, and images without any are left
    out, which leaves 82,081 of 82,783 in train2014 and 40,137 of 40,504 in
    val2014.

    Args:
        ann_file (str): The JSON, relative to ``data_root``.
        data_prefix (str | dict): Folder of the images. Defaults to
            ``dict(img_path='train2014')``.
        crowd (str): 'keep' counts annotations of crowds, 'ignore' does not.
            Defaults to 'keep'.
        min_area (float): Annotations with fewer pixels do not count. The
            area of an annotation is measured on its mask. Defaults to 0,
            which reads none.
        unlabeled (str): As in :class:`ImageLevelDataset`. Defaults to
            'drop', with ``test_mode`` too.
        strict (bool): Raise if an image is missing; otherwise those that
            are missing are left out, and one line says how many. Defaults to
            False.
        **kwargs: Of :class:`ImageLevelDataset`.

    Raises:
        InputError: A malformed JSON, no image at all, class names other
            than those of the JSON.
    """

    def __init__(self,
                 ann_file: str,
                 data_prefix: Union[str, dict] = dict(img_path='train2014'),
                 crowd: str = 'keep',
                 min_area: float = 0.0,
                 unlabeled: str = 'drop',
                 strict: bool = False,
                 **kwargs: Any) -> None:
        self.crowd = crowd
        self.min_area = min_area
        self.strict = strict
        super().__init__(
            ann_file=ann_file,
            data_prefix=data_prefix,
            unlabeled=unlabeled,
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read the JSON and look which images are there."""
        index = index_instances(read_instances(self.ann_file), self.ann_file)
        self._settle_classes(index.classes)
        labels, offsets = index.tags(self.crowd, self.min_area)
        places: Sequence[int] = range(len(index.img_ids))
        if self.check_files:
            places, lost = find_images(index, self.img_prefix, self.strict)
            if lost:
                print_log(
                    f'{lost} (strict=False)',
                    logger='current',
                    level=logging.WARNING)
        return [
            dict(
                img_id=index.img_ids[place],
                img_path=osp.join(self.img_prefix, index.file_names[place]),
                gt_label=labels[offsets[place]:offsets[place + 1]])
            for place in places
        ]

    def _settle_classes(self, names: Tuple[str, ...]) -> None:
        """Class names and colours are those of the JSON."""
        classes = self._metainfo.get('classes')
        if classes is not None:
            require_same_classes(names, self.ann_file,
                                 self._valid_classes(classes),
                                 'metainfo.classes')
        self._metainfo['classes'] = names
        if len(names) < 256:
            palette = voc_palette(len(names) + 1)[1:].tolist()
            self._metainfo.setdefault('palette', palette)
