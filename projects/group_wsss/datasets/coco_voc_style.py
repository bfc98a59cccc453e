# Copyright (c) group_wsss contributors. All rights reserved.
from mmseg.datasets import BaseSegDataset

from ..registry import DATASETS
from ..structures.label_image import voc_palette
from .coco_classes import COCO_CLASSES


@DATASETS.register_module()
class CocoVOCStyle(BaseSegDataset):
    """COCO with label images like those of VOC, for any config of mmseg.

    81 classes: 0 is the background, 1 to 80 are the classes by ascending
    category id, 255 is unknown; so ``num_classes=81`` and
    ``reduce_zero_label=False``, the default. This is what
    ``tools/dataset_converters/coco.py`` and stage 1 write. Masks of other
    origin may hold category ids up to 90 in place of class ids, or background
    in place of crowds.

    Args:
        **kwargs: Of ``mmseg.BaseSegDataset``: images
            ``data_prefix.img_path`` (``.jpg``), label images
            ``data_prefix.seg_map_path`` (``.png``), a list of ids
            ``ann_file``.
    """

    METAINFO = dict(
        classes=('background', ) + COCO_CLASSES,
        palette=voc_palette(len(COCO_CLASSES) + 1).tolist())
