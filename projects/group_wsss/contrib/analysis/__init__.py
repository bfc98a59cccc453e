# Copyright (c) group_wsss contributors. All rights reserved.
"""Analysis of a dump, with masks or without."""
from .activation import activation_counts, activation_shares, total_shares
from .analysis import analyze_dump
from .analysis_tables import csv_bytes, report_files
from .analysis_text import describe
from .co_occurrence import pair_counts, pair_rows
from .label_stats import LabelStats, label_stats
from .plots import (chosen_points, plot_classes, plot_confusions, plot_curve,
                    plot_histogram, report_plots)
from .threshold_curve import oracle_of, threshold_curve

__all__ = [
    'LabelStats', 'activation_counts', 'activation_shares', 'analyze_dump',
    'chosen_points', 'csv_bytes', 'describe', 'label_stats', 'oracle_of',
    'pair_counts', 'pair_rows', 'plot_classes', 'plot_confusions',
    'plot_curve', 'plot_histogram', 'report_files', 'report_plots',
    'threshold_curve', 'total_shares'
]
