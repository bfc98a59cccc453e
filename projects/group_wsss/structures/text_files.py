# Copyright (c) group_wsss contributors. All rights reserved.
"""Text and JSON from a file, or one line that says what is wrong."""
import json
from pathlib import Path
from typing import Any, Callable, Optional

from ..utils.errors import InputError


def read_text(path: str, what: str = 'file') -> str:
    """Read a text in UTF-8.

    Args:
        path (str): File or address.
        what (str): Name of such a file, for messages. Defaults to 'file'.

    Returns:
        str: The text, without a byte order mark.

    Raises:
        InputError: Missing, unreadable, or not UTF-8; the line is named.
    """
    try:
        if '://' in path:
            from mmengine.fileio import get
            data = get(path)
        else:
            data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f'{path}: no such {what}') from None
    except OSError as error:
        raise InputError(f'{path}: cannot be read: '
                         f'{error.strerror or error}') from None
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        raise InputError(f'{path}:{line}: not UTF-8 text') from None


def parse_json(text: str,
               path: str,
               object_hook: Optional[Callable] = None) -> Any:
    """Parse JSON.

    Args:
        text (str): The JSON.
        path (str): Its file, for messages.
        object_hook (Callable, optional): Of ``json.loads``.

    Returns:
        Any: Its content.

    Raises:
        InputError: Not JSON; the line is named.
    """
    try:
        return json.loads(text, object_hook=object_hook)
    except json.JSONDecodeError as error:
        raise InputError(f'{path}:{error.lineno}: not JSON: '
                         f'{error.msg}') from None
    except (RecursionError, ValueError):
        raise InputError(f'{path}: JSON that is nested too deeply or has a '
                         'number too long') from None
