# Copyright (c) group_wsss contributors. All rights reserved.
"""On top of the method: each part may be removed by itself."""
