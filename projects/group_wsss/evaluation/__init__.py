# Copyright (c) group_wsss contributors. All rights reserved.
"""How good class maps and label images are."""
from .boundary_iou import boundary_band, boundary_counts
from .class_names import class_names
from .confusion import (SweepCounts, class_scores, confusion_matrix,
                        mean_known, sweep_areas, sweep_counts)
from .label_dump import DumpInfo, dump_classes, open_dump
from .label_folder import evaluate_folder, find_ids, read_id_list
from .masks import read_mask
from .metrics import CAMIoU
from .table import format_table

__all__ = [
    'CAMIoU',
    'DumpInfo',
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
