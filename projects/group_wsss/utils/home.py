# Copyright (c) group_wsss contributors. All rights reserved.
"""Places of ``configs/`` and ``tools/``, in a checkout or installed."""
import difflib
import re
from pathlib import Path
from typing import Dict

from .errors import InputError

_PACKAGE = Path(__file__).resolve().parents[1]
_PREFIX = 'group_wsss::'


def find_home(package: Path = _PACKAGE) -> Path:
    """The folder that holds ``configs/`` and ``tools/``.

    Args:
        package (Path): Folder of the package. Defaults to this one.

    Returns:
        Path: The checkout, or ``.mim`` in an installed package.

    Raises:
        InputError: If there is neither.
    """
    for folder in (package.parents[1], package / '.mim'):
        if (folder / 'tools' / 'train.py').is_file():
            return folder
    raise InputError(f'{package}: installed without configs and tools; '
                     'install a wheel, or the checkout with `pip install -e`')


def in_checkout() -> bool:
    """Tell whether the package is that of a checkout."""
    return (_PACKAGE.parents[1] / 'tools' / 'train.py').is_file()


def list_tools() -> Dict[str, Path]:
    """Tools by their path below ``tools/`` without suffix."""
    root = find_home() / 'tools'
    tools = {}
    for path in sorted([*root.rglob('*.py'), *root.glob('*_*.sh')]):
        name = path.relative_to(root).with_suffix('').as_posix()
        # others need the checkout, and modules are no tools
        starts = (
            re.match('(dist|slurm)_', name)
            if path.suffix == '.sh' else '__main__' in path.read_text('utf-8'))
        if starts:
            tools[name] = path
    return tools


def find_tool(name: str) -> Path:
    """A tool by its name, ``toy`` or ``dataset_converters/toy``.

    Args:
        name (str): With ``-`` or ``_`` between words.

    Returns:
        Path: The script.

    Raises:
        InputError: If there is none.
    """
    tools = list_tools()
    wanted = name.replace('-', '_')
    for known, path in tools.items():
        if wanted in (known, known.rpartition('/')[2]):
            return path
    stems = [known.rpartition('/')[2] for known in tools]
    near = difflib.get_close_matches(wanted, stems, 1)
    hint = f'Did you mean {near[0]}? ' if near else ''
    raise InputError(f'{name}: no such tool. {hint}They are listed by '
                     '`python -m group_wsss tools`')


def find_config(text: str) -> str:
    """A path, where ``group_wsss::`` stands for the folder of the configs.

    Args:
        text (str): ``group_wsss::group_wsss/toy.py``, or anything else.

    Returns:
        str: The path of that config; other texts as they are.

    Raises:
        InputError: If there is no such config.
    """
    if not text.startswith(_PREFIX):
        return text
    root = find_home() / 'configs'
    name = text[len(_PREFIX):]
    if (root / name).is_file():
        return str(root / name)
    names = [path.relative_to(root).as_posix() for path in root.rglob('*.py')]
    near = difflib.get_close_matches(name, names, 1)
    hint = f', did you mean {_PREFIX}{near[0]}?' if near else f' in {root}'
    raise InputError(f'{text}: no such config{hint}')


def spell(step: str) -> str:
    """A command of the documentation as it has to be typed here.

    Args:
        step (str): ``python tools/train.py configs/group_wsss/toy.py``.

    Returns:
        str: The same in a checkout; ``python -m group_wsss train
        group_wsss::group_wsss/toy.py`` where the package is installed.
    """
    if in_checkout():
        return step
    step = re.sub(r'\b(?:python|bash) tools/(?:[\w/]*/)?(\w+)\.(?:py|sh)\b',
                  r'python -m group_wsss \1', step)
    return re.sub(r'(?<![\w./-])configs/(?=\w+/)', _PREFIX, step)
