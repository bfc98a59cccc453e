# Copyright (c) group_wsss contributors. All rights reserved.
"""Label index in memory-mapped files, for lists of many millions."""
from .index_files import HEADER
from .mapped_index import MappedLabelIndex, mapped_index

__all__ = ['HEADER', 'MappedLabelIndex', 'mapped_index']
