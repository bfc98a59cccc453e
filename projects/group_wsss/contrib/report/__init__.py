# Copyright (c) group_wsss contributors. All rights reserved.
"""A dump as a folder of HTML that works without a network."""
from .page import write_report
from .sources import PageSource, Step, open_steps

__all__ = ['PageSource', 'Step', 'open_steps', 'write_report']
