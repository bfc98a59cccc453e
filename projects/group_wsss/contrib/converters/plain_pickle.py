# Copyright (c) group_wsss contributors. All rights reserved.
import io
from typing import Any

from ...utils.errors import InputError
from ...utils.unpickler import PlainUnpickler


def load_plain_pickle(data: bytes) -> Any:
    """Read numbers, texts, containers and numpy arrays from a pickle.

    Nothing that the pickle asks for is executed, see
    :class:`~group_wsss.utils.unpickler.PlainUnpickler`.

    Args:
        data (bytes): The pickle, protocol 0 to 5; that of Python 2 too.

    Returns:
        Any: Python objects and ``np.ndarray``.

    Raises:
        InputError: Damaged, or with anything else in it; the message names
            no file.
    """
    try:
        return PlainUnpickler(io.BytesIO(data), encoding='latin1').load()
    except InputError as error:
        raise InputError(f'{error}: not a plain file of labels, and nothing '
                         'of it was executed') from None
    except Exception as error:  # whatever a damaged file leads to
        raise InputError(f'a damaged pickle: {str(error)[:80]!r}') from None
