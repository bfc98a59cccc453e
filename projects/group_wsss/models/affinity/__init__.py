# Copyright (c) group_wsss contributors. All rights reserved.
from .affinity_head import AffinityHead
from .affinity_loss import AffinityLoss
from .affinity_net import AffinityNet

__all__ = ['AffinityHead', 'AffinityLoss', 'AffinityNet']
