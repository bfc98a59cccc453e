# Copyright (c) group_wsss contributors. All rights reserved.
from ...utils.errors import InputError


def check_suffix(suffix: str) -> str:
    """Refuse what cannot end the name of an image.

    Args:
        suffix (str): For example ``'.jpg'``.

    Returns:
        str: ``suffix`` itself.

    Raises:
        InputError: It does not begin with a dot, or holds a separator or a
            control character.
    """
    if (not suffix.startswith('.') or len(suffix) < 2
            or not suffix.isprintable() or set(suffix) & set('/\\ ')):
        raise InputError(f'suffix {suffix!r} is not the ending of a '
                         "image's name, such as .jpg")
    return suffix
