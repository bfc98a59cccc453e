# Copyright (c) group_wsss contributors. All rights reserved.
"""The one error that a user's input can raise."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names the file, line or config key at
    fault. ``tools/`` print it without a traceback and exit with status 2.
    """


def one_line(error: BaseException) -> str:
    """The message of ``error`` alone.

    A DataLoader worker wraps an error in the text of its traceback; the
    message is then the last line.

    Args:
        error (BaseException): What was caught.

    Returns:
        str: One line without the traceback.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if len(lines) == 1:
        return lines[0]
    return lines[-1].split('InputError: ', 1)[-1]
