# Copyright (c) group_wsss contributors. All rights reserved.
from .group_maps import (GroupMaps, Inputs, anchors_of, exchange,
                         group_size_of, join_maps, own_part, record_sizes,
                         valid_positions)
from .memory_format import to_channels_last
from .pooling import pool_maps
from .targets import check_labels, multi_hot

__all__ = [
    'GroupMaps', 'Inputs', 'anchors_of', 'check_labels', 'exchange',
    'group_size_of', 'join_maps', 'multi_hot', 'own_part', 'pool_maps',
    'record_sizes', 'to_channels_last', 'valid_positions'
]
