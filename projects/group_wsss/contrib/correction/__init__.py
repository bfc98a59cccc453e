# Copyright (c) group_wsss contributors. All rights reserved.
"""What people say of labels that were made."""
from .leave_out import leave_out_of_dump, leave_out_of_list, read_leave_out

__all__ = ['leave_out_of_dump', 'leave_out_of_list', 'read_leave_out']
