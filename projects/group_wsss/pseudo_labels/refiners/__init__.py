# Copyright (c) group_wsss contributors. All rights reserved.
from .background import add_background, remove_background
from .base import BaseRefiner
from .compose import Refiners

__all__ = ['BaseRefiner', 'Refiners', 'add_background', 'remove_background']
