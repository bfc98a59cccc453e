# Copyright (c) group_wsss contributors. All rights reserved.
"""Data as scripts: from ``file://`` a page can load nothing else."""
import base64
import json
import zlib
from typing import Any

import numpy as np

# the one global name of report.js
CALL = 'groupWsssReport'


def js_call(*args: Any) -> bytes:
    """A script that hands plain values to the page.

    Args:
        *args (Any): Values that JSON has; no NaN.

    Returns:
        bytes: ASCII. ``<`` is escaped too, so that the script could stand
        inside HTML.
    """
    text = json.dumps(
        args, ensure_ascii=True, allow_nan=False, separators=(',', ':'))
    text = text[1:-1].replace('<', '\\u003c')
    return f'{CALL}({text});\n'.encode('ascii')


def pack(array: np.ndarray) -> str:
    """Bytes of an array, compressed, as text.

    Args:
        array (np.ndarray): uint8 of any shape.

    Returns:
        str: Base64 of a zlib stream, row after row.
    """
    assert array.dtype == np.uint8, f'uint8 expected, got {array.dtype}'
    data = zlib.compress(np.ascontiguousarray(array).tobytes(), 9)
    return base64.b64encode(data).decode('ascii')
