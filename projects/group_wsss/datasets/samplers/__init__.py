# Copyright (c) group_wsss contributors. All rights reserved.
from .group_batch_sampler import GroupBatchSampler, labels_of_dataset

__all__ = ['GroupBatchSampler', 'labels_of_dataset']
