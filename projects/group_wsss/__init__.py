# Copyright (c) group_wsss contributors. All rights reserved.
"""Group-wise weakly supervised semantic segmentation for OpenMMLab.

Importing the package checks that usable versions of the libraries below it
are installed and imports nothing else: mmengine finds the components through
``group_wsss.registry`` when a config names ``group_wsss.X``.
"""
from .utils import stack
from .version import __version__

stack.check(stack.find_all())

__all__ = ['__version__']
