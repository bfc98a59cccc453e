# Copyright (c) group_wsss contributors. All rights reserved.
"""Helpers for every room, nothing of the method."""
