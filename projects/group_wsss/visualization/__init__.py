# Copyright (c) group_wsss contributors. All rights reserved.
"""Pictures for people: labels, class maps and sheets of both."""
from .contact_sheet import contact_sheet
from .paint import paint_label, paint_scores

__all__ = ['contact_sheet', 'paint_label', 'paint_scores']
