# Copyright (c) group_wsss contributors. All rights reserved.
from .coco import CocoImageLevel
from .coco_classes import COCO_CLASSES
from .coco_voc_style import CocoVOCStyle
from .collate import group_collate
from .grouped import GroupedDataset
from .image_level import ImageLevelDataset
from .label_index import LabelIndex
from .pseudo_label_dataset import PseudoLabelDataset
from .samplers import GroupBatchSampler
from .toy import TOY_CLASSES, ToyImageLevel, generate_toy
from .transforms import LoadImage, load_image
from .voc import VOC_CLASSES, VOCImageLevel

__all__ = [
    'COCO_CLASSES',
    'CocoImageLevel',
    'CocoVOCStyle',
    'GroupBatchSampler',
    'GroupedDataset',
    'ImageLevelDataset',
    'LabelIndex',
    'LoadImage',
    'PseudoLabelDataset',
    'TOY_CLASSES',
    'ToyImageLevel',
    'VOC_CLASSES',
    'VOCImageLevel',
    'generate_toy',
    'group_collate',
    'load_image',
]
