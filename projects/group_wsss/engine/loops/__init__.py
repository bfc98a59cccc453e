# Copyright (c) group_wsss contributors. All rights reserved.
from .tta_test_loop import TTATestLoop

__all__ = ['TTATestLoop']
