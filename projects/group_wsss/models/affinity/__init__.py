# Copyright (c) group_wsss contributors. All rights reserved.
from .affinity_head import AffinityHead
from .affinity_loss import AffinityLoss
from .affinity_net import AffinityNet
from .pairs import pair_offsets, pair_windows

__all__ = [
    'AffinityHead', 'AffinityLoss', 'AffinityNet', 'pair_offsets',
    'pair_windows'
]
