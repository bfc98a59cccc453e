# Copyright (c) group_wsss contributors. All rights reserved.
"""Group-wise weakly supervised semantic segmentation for OpenMMLab.

Importing the package checks that usable versions of the libraries below it
are installed and imports nothing else: mmengine finds the components through
``group_wsss.registry`` when a config names ``group_wsss.X``.
"""
import importlib.util
import re
from importlib import metadata
from pathlib import Path
from typing import Dict, Iterable, Optional, Tuple

from .version import __version__

# import name: (lowest version, first version refused, distributions). Two
# families of distributions carry the same import names.
REQUIRED: Dict[str, Tuple[str, str, Tuple[str, ...]]] = {
    'mmengine':
    ('0.10.0', '0.12', ('mmengine', 'onedl-mmengine', 'mmengine-lite')),
    'mmcv': ('2.0.0', '2.5', ('mmcv', 'mmcv-lite', 'onedl-mmcv')),
    'mmseg': ('1.2.0', '1.6', ('mmsegmentation', 'onedl-mmsegmentation')),
    'mmpretrain': ('1.2.0', '1.5', ('mmpretrain', 'onedl-mmpretrain')),
}


def _release(version: str) -> Tuple[int, ...]:
    """``'2.1.0rc4'`` as ``(2, 1, 0)``, padded to three numbers."""
    numbers = re.match(r'\d+(\.\d+)*', version)
    parts = [int(n) for n in numbers.group().split('.')] if numbers else []
    return tuple((parts + [0, 0, 0])[:3])


def _installed(module: str, names: Iterable[str]) -> Optional[str]:
    """Version of a package, or None, without importing it.

    Args:
        module (str): Import name.
        names (Iterable[str]): Distributions that may provide it.
    """
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    # a source checkout on the path, or a build for one CUDA version, has
    # another distribution name or none
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        source = Path(folder, 'version.py')
        if source.is_file():
            found = re.search(r'''__version__\s*=\s*['"]([^'"]+)''',
                              source.read_text(encoding='utf-8'))
            if found:
                return found.group(1)
    return None


def check_versions(versions: Dict[str, Optional[str]]) -> None:
    """Refuse versions outside the windows of ``REQUIRED``.

    Args:
        versions (dict): Import name to version, None if it is not installed.

    Raises:
        ImportError: One line that names every mismatch and the cure.
    """
    wrong = []
    for module, (low, high, names) in REQUIRED.items():
        version = versions[module]
        if version is None:
            wrong.append(f'{names[0]}>={low},<{high} (not installed)')
        elif not _release(low) <= _release(version) < _release(high):
            wrong.append(f'{names[0]}>={low},<{high} (found {version})')
    if wrong:
        raise ImportError(
            f'group_wsss {__version__} needs {", ".join(wrong)}: install '
            'them by "pip install -r requirements/mminstall.txt"')


check_versions({
    module: _installed(module, row[2])
    for module, row in REQUIRED.items()
})

__all__ = ['__version__', 'check_versions']
