# Copyright (c) group_wsss contributors. All rights reserved.
"""Software versions and file checksums for the manifest."""
import hashlib
import platform
import sys
from importlib import metadata
from typing import Dict, Optional

from ..version import __version__

# import name -> distributions that carry it
_PACKAGES = {
    'torch': ('torch', ),
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv'),
    'mmseg': ('mmsegmentation', 'onedl-mmsegmentation'),
    'mmpretrain': ('mmpretrain', 'onedl-mmpretrain'),
    'numpy': ('numpy', )
}


def software_versions() -> Dict[str, Optional[str]]:
    """Versions of what makes the labels; nothing new is imported.

    Returns:
        dict[str, str or None]: By import name; None if not installed.
    """
    versions: Dict[str, Optional[str]] = {
        'python': platform.python_version(),
        'group_wsss': __version__
    }
    for name, distributions in _PACKAGES.items():
        version = getattr(sys.modules.get(name), '__version__', None)
        for distribution in distributions:
            if version is not None:
                break
            try:
                version = metadata.version(distribution)
            except metadata.PackageNotFoundError:
                continue
        versions[name] = None if version is None else str(version)
    return versions


def sha256_of(path: str) -> str:
    """Checksum of a file, read in pieces.

    Args:
        path (str): The file.

    Returns:
        str: 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
