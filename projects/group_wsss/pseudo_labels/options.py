# Copyright (c) group_wsss contributors. All rights reserved.
"""One message for every option that has a value it cannot have."""
from typing import Tuple

from ..utils.errors import InputError


def check_options(owner: str, **options: Tuple[object, bool, str]) -> None:
    """Refuse values that options of a refiner or labeler cannot have.

    Args:
        owner (str): Name of its class.
        **options (tuple[object, bool, str]): The value of each option,
            whether it can be, and what could, such as ``'>= 0'``.

    Raises:
        InputError: The first that is not good.
    """
    for name, (value, good, wanted) in options.items():
        if not good:
            raise InputError(f'{name} of {owner} is {value!r}, must be '
                             f'{wanted}')
