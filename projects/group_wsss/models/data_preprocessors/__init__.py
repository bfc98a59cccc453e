# Copyright (c) group_wsss contributors. All rights reserved.
from .group_data_preprocessor import GroupDataPreprocessor

__all__ = ['GroupDataPreprocessor']
