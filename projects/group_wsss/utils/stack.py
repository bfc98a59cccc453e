# Copyright (c) group_wsss contributors. All rights reserved.
"""Check that the libraries below the package fit together.

Two families of distributions carry the import names ``mmengine``, ``mmcv``,
``mmseg`` and ``mmpretrain``: stock OpenMMLab and the maintained forks.
Nothing of them is imported here.
"""
import importlib.util
import re
from importlib import metadata
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

from packaging.version import InvalidVersion, Version

from ..version import __version__

# import name: (lowest version, first version refused, distributions)
REQUIRED: Dict[str, Tuple[str, str, Tuple[str, ...]]] = {
    'torch': ('2.1.0', '3', ('torch', )),
    'mmengine':
    ('0.10.0', '0.12', ('mmengine', 'onedl-mmengine', 'mmengine-lite')),
    'mmcv': ('2.0.0', '2.5', ('mmcv', 'mmcv-lite', 'onedl-mmcv')),
    'mmseg': ('1.2.0', '1.6', ('mmsegmentation', 'onedl-mmsegmentation')),
    'mmpretrain': ('1.2.0', '1.5', ('mmpretrain', 'onedl-mmpretrain')),
}
# What the tests run on, as in requirements/ and requirements/openmmlab/. mmcv
# of the stock family is compiled for the torch that is there already.
FORKS = ('the maintained forks', 'torch==2.11.0 torchvision==0.26.0',
         'pip install onedl-mmcv==2.3.6 onedl-mmengine==0.10.12 '
         'onedl-mmpretrain==1.3.6 onedl-mmsegmentation==1.4.2')
STOCK = ('stock OpenMMLab', 'torch==2.1.2 torchvision==0.16.2 "numpy<2"',
         'MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0 '
         'mmengine==0.10.7 mmpretrain==1.2.0 mmsegmentation==1.2.2 ftfy '
         'regex "numpy<2" "opencv-python<4.12" "setuptools<81"')


class Installed(NamedTuple):
    """A library as it was found.

    Args:
        version (str): '' if it is not installed.
        names (tuple[str]): Distributions that provide it; none for a source
            checkout.
        compiled (bool): Has operators of its own (mmcv). Defaults to True.
    """
    version: str
    names: Tuple[str, ...]
    compiled: bool = True


def find(module: str, names: Tuple[str, ...]) -> Installed:
    """Look for a library without importing it.

    Args:
        module (str): Import name.
        names (tuple[str]): Distributions that may provide it.

    Returns:
        Installed: What is there.
    """
    found = {}
    for name in names:
        try:
            header = metadata.distribution(name).read_text('METADATA')
        except metadata.PackageNotFoundError:
            continue
        # its first lines: to parse all of it takes as long as the rest here
        line = re.search(r'^Version: (\S+)', header or '', re.M)
        found[name] = line.group(1) if line else metadata.version(name)
    version = next(iter(found.values()), '')
    if version and module != 'mmcv':
        return Installed(version, tuple(found))
    spec = importlib.util.find_spec(module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        # a source checkout on the path, or a build for one CUDA version, has
        # another distribution name or none
        source = Path(folder, 'version.py')
        if not version and source.is_file():
            text = re.search(r'''__version__\s*=\s*['"]([^'"]+)''',
                             source.read_text(encoding='utf-8'))
            version = text.group(1) if text else ''
    compiled = any(any(Path(folder).glob('_ext*')) for folder in folders)
    return Installed(version, tuple(found), compiled)


def find_all() -> Dict[str, Installed]:
    """Find everything in ``REQUIRED`` and NumPy, by import name."""
    names = {name: row[2] for name, row in REQUIRED.items()}
    names['numpy'] = ('numpy', )
    return {name: find(name, value) for name, value in names.items()}


def _is_in(version: str, low: str, high: str) -> bool:
    """Tell whether a version is in [low, high); a candidate is its release."""
    try:
        release = Version(version).release
    except InvalidVersion:
        return False
    return Version(low).release <= release < Version(high).release


def _mismatches(found: Dict[str, Installed]) -> List[str]:
    """List what does not fit, each as the end of "group_wsss needs"."""
    wrong = []
    for module, (low, high, names) in REQUIRED.items():
        version = found[module].version
        if not version:
            wrong.append(f'{names[0]}>={low},<{high} (not installed)')
        elif not _is_in(version, low, high):
            wrong.append(f'{names[0]}>={low},<{high} (found {version})')
        if len(found[module].names) > 1:
            wrong.append(f'one of {" and ".join(found[module].names)}, which '
                         'overwrite each other (uninstall them first)')
    torch, numpy = found['torch'].version, found['numpy'].version
    if numpy and _is_in(torch, '0', '2.3') and not _is_in(numpy, '0', '2'):
        wrong.append(f'numpy<2 for torch {torch} (found {numpy})')
    mmseg, mmcv = found['mmseg'], found['mmcv']
    if 'mmsegmentation' in mmseg.names and mmcv.version:
        # its import refuses the one, and breaks off without the other
        if not _is_in(mmcv.version, '0', '2.2'):
            wrong.append(f'mmcv<2.2 for mmsegmentation {mmseg.version} '
                         f'(found {mmcv.version})')
        if not mmcv.compiled:
            wrong.append('mmcv with compiled operators for mmsegmentation '
                         f'{mmseg.version} ({mmcv.version} was built without; '
                         'uninstall it first)')
    return wrong


def check(found: Dict[str, Installed]) -> None:
    """Refuse libraries that do not fit.

    Args:
        found (dict): Import name to what is installed, see ``find_all``.

    Raises:
        ImportError: One line that names every mismatch and the cure.
    """
    wrong = _mismatches(found)
    if not wrong:
        return
    names = [name for item in found.values() for name in item.names]
    families = [
        family for prefix, family in (('onedl-', FORKS), ('mm', STOCK)) if any(
            name.startswith(prefix) for name in names)
    ]
    no_torch = any(text.startswith('torch') for text in wrong)
    cures = []
    for label, torch, packages in families or (FORKS, STOCK):
        first = f'pip install {torch} && ' if no_torch else ''
        cures.append(f'{label} by `{first}{packages}`')
    raise ImportError(f'group_wsss {__version__} needs {", ".join(wrong)}: '
                      f'install {" or ".join(cures)}')
