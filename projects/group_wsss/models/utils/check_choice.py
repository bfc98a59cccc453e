# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Sequence

from ...utils.errors import InputError


def check_choice(owner: str, name: str, value: Any,
                 allowed: Sequence[str]) -> None:
    """Refuse a value that an option cannot have.

    Args:
        owner (str): The component.
        name (str): The option.
        value (Any): What it is.
        allowed (Sequence[str]): What it can be.

    Raises:
        InputError: It is none of these.
    """
    if value not in allowed:
        raise InputError(f'{name} of {owner} is {value!r}, must be one of '
                         f'{", ".join(allowed)}')
