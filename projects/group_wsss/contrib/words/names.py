# Copyright (c) group_wsss contributors. All rights reserved.
"""What classes are called."""
from typing import Dict, List

from ...structures.text_files import read_text
from ...utils.errors import InputError


def read_words(path: str) -> Dict[str, List[str]]:
    """Read class names, one a line, and what to call them.

    ``bird`` is asked for by its name, underscores as spaces;
    ``tvmonitor: tv, computer monitor`` by two words instead.

    Args:
        path (str): A text in UTF-8. Empty lines, and lines that begin with
            ``#``, do not count.

    Returns:
        dict[str, list[str]]: Words by class name, in the order of the file,
        which is that of the class ids.

    Raises:
        InputError: No name, or one that is empty, repeated or called
            nothing; the line is named.
    """
    found: Dict[str, List[str]] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        name, colon, rest = line.partition(':')
        name = name.strip()
        words = rest.split(',') if colon else [name.replace('_', ' ')]
        words = [word.strip() for word in words]
        if not name or not all(words):
            raise InputError(f'{path}:{number}: write NAME, or NAME: WORD, '
                             'WORD')
        if name in found:
            raise InputError(f'{path}:{number}: {name!r} is there twice')
        found[name] = words
    if not found:
        raise InputError(f'{path}: no class name')
    return found
