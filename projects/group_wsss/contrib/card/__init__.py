# Copyright (c) group_wsss contributors. All rights reserved.
"""A result card: what runs gave and what they were made of, on a page."""
from .card import make_card
from .figures import FIGURES, figures_of
from .page import card_page
from .runs import Run, find_run

__all__ = [
    'FIGURES', 'Run', 'card_page', 'figures_of', 'find_run', 'make_card'
]
