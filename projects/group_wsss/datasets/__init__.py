# Copyright (c) group_wsss contributors. All rights reserved.
from .coco import CocoImageLevel
from .coco_classes import COCO_CLASSES
from .coco_voc_style import CocoVOCStyle
from .grouped import GroupedDataset, group_collate
from .image_level import ImageLevelDataset
from .image_list import (ImageList, ImageRecord, read_image_list,
                         write_image_list)
from .label_advice import label_advice, label_page
from .label_index import LabelIndex
from .label_statistics import label_statistics
from .pseudo_label_dataset import PseudoLabelDataset
from .samplers import GroupBatchSampler
from .toy import TOY_CLASSES, ToyImageLevel, generate_toy
from .transforms import LoadPhoto, load_photo
from .voc import VOC_CLASSES, VOCImageLevel

__all__ = [
    'COCO_CLASSES', 'CocoImageLevel', 'CocoVOCStyle', 'GroupBatchSampler',
    'GroupedDataset', 'ImageLevelDataset', 'ImageList', 'ImageRecord',
    'LabelIndex', 'LoadPhoto', 'PseudoLabelDataset', 'TOY_CLASSES',
    'ToyImageLevel', 'VOC_CLASSES', 'VOCImageLevel', 'generate_toy',
    'group_collate', 'label_advice', 'label_page', 'label_statistics',
    'load_photo', 'read_image_list', 'write_image_list'
]
