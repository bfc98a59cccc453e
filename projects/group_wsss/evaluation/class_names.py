# Copyright (c) group_wsss contributors. All rights reserved.
"""Class names for command lines."""
from typing import Tuple

from ..utils.errors import InputError


def class_names(spec: str) -> Tuple[str, ...]:
    """Names of classes, without background.

    Args:
        spec (str): ``'voc'``, a number of classes, or a text file with one
            name a line (a first line ``background`` is skipped).

    Returns:
        tuple[str]: The names.

    Raises:
        InputError: None of these.
    """
    if spec == 'voc':
        # brings mmpretrain in, which takes seconds
        from ..datasets.voc import VOC_CLASSES
        return VOC_CLASSES
    if spec.isdigit():
        names = tuple(f'class {i}' for i in range(1, int(spec) + 1))
    else:
        names = tuple(line.strip() for line in read_lines(spec)
                      if line.strip())
        if names[:1] == ('background', ):
            names = names[1:]
    if not 1 <= len(names) <= 254:
        raise InputError(f'--classes {spec}: {len(names)} classes; 1 to 254 '
                         'are possible')
    return names


def read_lines(path: str) -> Tuple[str, ...]:
    """Lines of a text file.

    Args:
        path (str): UTF-8 file.

    Returns:
        tuple[str]: Without line ends.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            return tuple(file.read().splitlines())
    except UnicodeDecodeError:
        raise InputError(f'{path}: not a text file in UTF-8') from None
    except OSError as error:
        raise InputError(f'{path}: {error.strerror or error}') from None
