# Copyright (c) group_wsss contributors. All rights reserved.
"""Images for people: labels, class maps, sheets of both, plots."""
from .contact_sheet import contact_sheet
from .overlay import add_legend
from .paint import paint_label, paint_scores
from .palette import bright_palette, class_colours

__all__ = [
    'add_legend',
    'bright_palette',
    'class_colours',
    'contact_sheet',
    'paint_label',
    'paint_scores',
]
