# Copyright (c) group_wsss contributors. All rights reserved.
from .data_runner import DataRunner
from .num_classes import settle_num_classes

__all__ = ['DataRunner', 'settle_num_classes']
