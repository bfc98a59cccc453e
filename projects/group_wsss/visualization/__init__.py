# Copyright (c) group_wsss contributors. All rights reserved.
"""Pictures for people: labels, class maps, sheets of both, plots."""
from .class_map_sheet import class_map_sheet
from .class_plots import plot_classes, plot_confusions
from .contact_sheet import contact_sheet
from .group_sheet import GroupMember, group_sheet
from .label_plots import plot_class_sizes, plot_set_sizes
from .paint import paint_label, paint_scores
from .plots import plot_curve, plot_histogram
from .report_plots import report_plots

__all__ = [
    'GroupMember', 'class_map_sheet', 'contact_sheet', 'group_sheet',
    'paint_label', 'paint_scores', 'plot_class_sizes', 'plot_classes',
    'plot_confusions', 'plot_curve', 'plot_histogram', 'plot_set_sizes',
    'report_plots'
]
