# Copyright (c) group_wsss contributors. All rights reserved.
"""Images for people: labels, class maps, sheets of both, plots."""
from .contact_sheet import contact_sheet
from .overlay import add_legend
from .paint import paint_label, paint_scores

__all__ = [
    'add_legend',
    'contact_sheet',
    'paint_label',
    'paint_scores',
]
