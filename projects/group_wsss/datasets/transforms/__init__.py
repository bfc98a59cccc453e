# Copyright (c) group_wsss contributors. All rights reserved.
from .load_image import LoadPhoto

__all__ = ['LoadPhoto']
