# Copyright (c) group_wsss contributors. All rights reserved.
from .load_scores import LoadScores
from .pack_scores import PackScores

__all__ = ['LoadScores', 'PackScores']
