# Copyright (c) group_wsss contributors. All rights reserved.
"""Advice on an image list and contact sheets of its groups."""
from .group_sheet import GroupMember, group_sheet
from .label_advice import label_advice, label_page
from .label_plots import plot_class_sizes, plot_set_sizes
from .label_statistics import label_statistics

__all__ = [
    'GroupMember', 'group_sheet', 'label_advice', 'label_page',
    'label_statistics', 'plot_class_sizes', 'plot_set_sizes'
]
