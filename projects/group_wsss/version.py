# Copyright (c) group_wsss contributors. All rights reserved.
__version__ = '0.1.0'
