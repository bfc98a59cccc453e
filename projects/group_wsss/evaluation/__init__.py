# Copyright (c) group_wsss contributors. All rights reserved.
"""How good class maps and label images are."""
from .activation import activation_counts, activation_shares, total_shares
from .analysis import analyze_dump
from .analysis_tables import csv_bytes, report_files
from .analysis_text import describe
from .boundary_iou import boundary_band, boundary_counts
from .class_names import class_names
from .co_occurrence import pair_counts, pair_rows
from .confusion import (SweepCounts, class_scores, confusion_matrix,
                        mean_known, sweep_areas, sweep_counts)
from .label_dump import DumpInfo, dump_classes, open_dump
from .label_folder import evaluate_folder, find_ids, read_id_list
from .label_stats import LabelStats, label_stats
from .masks import read_mask
from .metrics import CAMIoU
from .table import format_table
from .threshold_curve import oracle_of, threshold_curve

__all__ = [
    'CAMIoU', 'DumpInfo', 'LabelStats', 'SweepCounts', 'activation_counts',
    'activation_shares', 'analyze_dump', 'boundary_band', 'boundary_counts',
    'class_names', 'class_scores', 'confusion_matrix', 'csv_bytes', 'describe',
    'dump_classes', 'evaluate_folder', 'find_ids', 'format_table',
    'label_stats', 'mean_known', 'open_dump', 'oracle_of', 'pair_counts',
    'pair_rows', 'read_id_list', 'read_mask', 'report_files', 'sweep_areas',
    'sweep_counts', 'threshold_curve', 'total_shares'
]
