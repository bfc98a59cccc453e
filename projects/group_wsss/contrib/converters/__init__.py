# Copyright (c) group_wsss contributors. All rights reserved.
"""Readers of other tools' files into the one list of images."""
from ...structures.image_list import IMAGE_SUFFIXES
from .builder import ListBuilder
from .cls_labels import read_cls_labels
from .coco_instances import read_coco_instances
from .command import add_arguments, save
from .csv_table import read_table
from .cvat import read_cvat
from .folders import read_folders
from .label_studio import read_label_studio
from .plain_pickle import load_plain_pickle
from .voc_folder import read_voc_folder

__all__ = [
    'IMAGE_SUFFIXES', 'ListBuilder', 'add_arguments', 'load_plain_pickle',
    'read_cls_labels', 'read_coco_instances', 'read_cvat', 'read_folders',
    'read_label_studio', 'read_table', 'read_voc_folder', 'save'
]
