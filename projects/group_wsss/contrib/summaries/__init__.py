# Copyright (c) group_wsss contributors. All rights reserved.
"""Messages of a training to people."""
from .class_map_sheet import class_map_sheet
from .class_map_visualization_hook import ClassMapVisualizationHook
from .epoch_summary_hook import EpochSummaryHook
from .run_summary_hook import RunSummaryHook

__all__ = [
    'ClassMapVisualizationHook', 'EpochSummaryHook', 'RunSummaryHook',
    'class_map_sheet'
]
