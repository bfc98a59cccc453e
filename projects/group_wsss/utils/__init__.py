# Copyright (c) group_wsss contributors. All rights reserved.
"""What every room may use and nothing of the method."""
