# Copyright (c) group_wsss contributors. All rights reserved.
"""Tags that are missing or wrong, told by class maps."""
from .tag_doubts import TagDoubts

__all__ = ['TagDoubts']
