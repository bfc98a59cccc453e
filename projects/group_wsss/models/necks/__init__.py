# Copyright (c) group_wsss contributors. All rights reserved.
from .coattention_gnn import CoAttentionGNN

__all__ = ['CoAttentionGNN']
