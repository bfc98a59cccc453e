# Copyright (c) group_wsss contributors. All rights reserved.
"""Tags that are missing or wrong: a loss and a report."""
from .large_loss_rejection import LargeLossRejection
from .tag_doubts import TagDoubts

__all__ = ['LargeLossRejection', 'TagDoubts']
