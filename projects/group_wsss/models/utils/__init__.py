# Copyright (c) group_wsss contributors. All rights reserved.
from .group_maps import Inputs, Sizes, group_size_of, join_maps, valid_sizes
from .pooling import pool_maps
from .targets import multi_hot

__all__ = [
    'Inputs', 'Sizes', 'group_size_of', 'join_maps', 'multi_hot', 'pool_maps',
    'valid_sizes'
]
