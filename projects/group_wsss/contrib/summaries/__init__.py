# Copyright (c) group_wsss contributors. All rights reserved.
"""Messages of a training to people."""
from .class_map_sheet import class_map_sheet
from .class_map_visualization_hook import ClassMapVisualizationHook
from .epoch_summary_hook import EpochSummaryHook
from .run_summary_hook import RunSummaryHook
from .summary_hooks import add_summary_hooks

__all__ = [
    'ClassMapVisualizationHook', 'EpochSummaryHook', 'RunSummaryHook',
    'add_summary_hooks', 'class_map_sheet'
]
