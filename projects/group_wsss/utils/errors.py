# Copyright (c) group_wsss contributors. All rights reserved.
"""The one error that a user's input can raise."""
import json
import os
import time


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names the file, line or config key at
    fault. ``tools/`` print it without a traceback and exit with status 2.
    """


class CorruptImageError(InputError):
    """An image whose file cannot be decoded.

    Data sets with ``on_corrupt='skip'`` go on without it.
    """


class NonFiniteError(InputError):
    """Class maps of an image that hold NaN or an infinity.

    Dumps with ``on_non_finite='skip'`` go on without it.
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
    text = lines[-1].split('InputError: ', 1)[-1]
    return text.split(f'{type(error).__name__}: ', 1)[-1]


def describe(error: BaseException) -> str:
    """What another library says.

    Args:
        error (BaseException): What was caught.

    Returns:
        str: Its type and the first line of its message.
    """
    first = str(error).strip().splitlines()[:1]
    return ': '.join([type(error).__name__, *first])


def report_to_launcher(text: str) -> None:
    """Let torchrun repeat a message when it sums up why the job ended.

    Args:
        text (str): One line. Without torchrun nothing happens.
    """
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if not path or os.path.exists(path):
        return  # the first one is the reason
    message = dict(message=text, timestamp=int(time.time()))
    try:
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(message, file)
    except OSError:  # it was printed anyway
        pass
