# Copyright (c) group_wsss contributors. All rights reserved.
from .check_choice import check_choice
from .frozen import FrozenBackbone
from .group_maps import (Branch, GroupMaps, Inputs, anchors_of, exchange,
                         group_size_of, join_maps, losses_of, own_part,
                         record_sizes, valid_positions)
from .memory_format import to_channels_last
from .pooling import pool_maps
from .targets import check_labels, multi_hot

__all__ = [
    'Branch', 'FrozenBackbone', 'GroupMaps', 'Inputs', 'anchors_of',
    'check_choice', 'check_labels', 'exchange', 'group_size_of', 'join_maps',
    'losses_of', 'multi_hot', 'own_part', 'pool_maps', 'record_sizes',
    'to_channels_last', 'valid_positions'
]
