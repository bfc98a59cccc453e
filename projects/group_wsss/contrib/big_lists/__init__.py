# Copyright (c) group_wsss contributors. All rights reserved.
"""Label index that is mapped into memory, for millions of images."""
