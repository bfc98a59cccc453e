# Copyright (c) group_wsss contributors. All rights reserved.
"""Class names of two sources that number the same labels."""
from itertools import zip_longest
from typing import Iterable, List, Optional, Tuple

from .errors import InputError

# names that a message lists
_LISTED = 5


def _listed(names: Tuple[str, ...]) -> str:
    """The first names, for a message."""
    more = ('...', ) if len(names) > _LISTED else ()
    return ', '.join(names[:_LISTED] + more)


def class_difference(names: Iterable[str], source: str, others: Iterable[str],
                     other_source: str) -> Optional[str]:
    """Find the first difference between two lists of class names.

    Args:
        names (Iterable[str]): In the order of their numbers.
        source (str): Where they come from, for the message.
        others (Iterable[str]): Those that they have to agree with; likewise.
        other_source (str): Where these come from.

    Returns:
        str, optional: One line that names both sources; None if the names
        are equal.
    """
    pair = [tuple(names), tuple(others)]
    for place, (name, other) in enumerate(zip_longest(*pair)):
        if name != other:
            here, there = ('missing' if value is None else repr(value)
                           for value in (name, other))
            return (f'class names of {source} differ from those of '
                    f'{other_source} ({_listed(pair[1])}): class {place} is '
                    f'{here}, there {there}')
    return None


def require_same_classes(names: Iterable[str], source: str,
                         others: Iterable[str], other_source: str) -> None:
    """Refuse class names that would number labels in another way.

    Args:
        names (Iterable[str]): As in :func:`class_difference`.
        source (str): Likewise.
        others (Iterable[str]): Likewise.
        other_source (str): Likewise.

    Raises:
        InputError: The first difference.
    """
    text = class_difference(names, source, others, other_source)
    if text is not None:
        raise InputError(f'{text}; give both the same names in the same '
                         'order')


def without_background(names: Iterable[str]) -> Tuple[str, ...]:
    """Names of classes alone, whatever stage they come from.

    Args:
        names (Iterable[str]): The names; stage 2 has ``background`` first.

    Returns:
        tuple[str]: The names but for that.
    """
    names = tuple(names)
    return names[1:] if names[:1] == ('background', ) else names


def class_positions(names: Iterable[str],
                    source: str,
                    others: Iterable[str],
                    other_source: str,
                    strict: bool = False) -> List[Optional[int]]:
    """Numbers of classes by name, where the order may differ.

    Args:
        names (Iterable[str]): Names in any order.
        source (str): Where they come from, for the message.
        others (Iterable[str]): Those that have numbers.
        other_source (str): Where these come from.
        strict (bool): Every name must be one of these; else one is enough.
            Defaults to False.

    Returns:
        list[int, optional]: Place among ``others``; None of other names.

    Raises:
        InputError: A name, or all of them, is none of ``others``.
    """
    names, others = tuple(names), tuple(others)
    places = [others.index(n) if n in others else None for n in names]
    missing = [n for n, place in zip(names, places) if place is None]
    if missing and (strict or len(missing) == len(names)):
        raise InputError(f'{source}: {missing[0]!r} is no class of '
                         f'{other_source}: {_listed(others)}')
    return places
