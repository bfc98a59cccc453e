# Copyright (c) group_wsss contributors. All rights reserved.
"""Quality of class maps and label images."""
from ..structures.folders import find_ids, read_id_list
from .boundary_iou import boundary_band, boundary_counts
from .class_names import class_names, dump_classes, open_dump
from .confusion import (SweepCounts, class_scores, confusion_matrix,
                        mean_known, sweep_areas, sweep_counts)
from .label_folder import evaluate_folder
from .masks import read_mask
from .table import format_table

__all__ = [
    'SweepCounts',
    'boundary_band',
    'boundary_counts',
    'class_names',
    'class_scores',
    'confusion_matrix',
    'dump_classes',
    'evaluate_folder',
    'find_ids',
    'format_table',
    'mean_known',
    'open_dump',
    'read_id_list',
    'read_mask',
    'sweep_areas',
    'sweep_counts',
]
