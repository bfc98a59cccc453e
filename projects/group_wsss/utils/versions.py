# Copyright (c) group_wsss contributors. All rights reserved.
"""Software versions and file checksums for the manifest."""
import hashlib
import os
import platform
import sys
from typing import Dict, Optional

from ..version import __version__
from .stack import find_all


def software_versions() -> Dict[str, Optional[str]]:
    """Versions of what makes the labels; nothing new is imported.

    Returns:
        dict[str, str or None]: By import name; None if not installed.
    """
    versions: Dict[str, Optional[str]] = {
        'python': platform.python_version(),
        'group_wsss': __version__
    }
    for name, found in find_all().items():
        loaded = getattr(sys.modules.get(name), '__version__', None)
        versions[name] = str(loaded or found.version) or None
    return versions


def sha256_of(path: 'str | os.PathLike[str]') -> str:
    """Checksum of a file, read in pieces.

    Args:
        path (str | Path): The file.

    Returns:
        str: 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
