# Copyright (c) group_wsss contributors. All rights reserved.
from .data_runner import DataFlexibleRunner, DataRunner, settle
from .group_size import settle_group_size
from .num_classes import settle_num_classes

__all__ = [
    'DataFlexibleRunner', 'DataRunner', 'settle', 'settle_group_size',
    'settle_num_classes'
]
