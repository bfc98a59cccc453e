# Copyright (c) group_wsss contributors. All rights reserved.
"""Raw results that go on where they ended, and the commit they are of."""
import json
import os
import os.path as osp
import subprocess
import sys
from typing import Any, Dict, List, Sequence

ROOT = osp.abspath(osp.join(osp.dirname(__file__), '..'))
sys.path.insert(0, osp.join(ROOT, 'projects'))

from group_wsss.utils.errors import InputError
from group_wsss.utils.files import atomic_write, read_json

Row = Dict[str, Any]
# of most commands; its head says what the variables are
CONFIG = 'configs/group_wsss/effnet-lite0_voc-layout.py'


def git(*words: str) -> str:
    """Output of a git command in the checkout, '' where there is none."""
    try:
        done = subprocess.run(['git', *words],
                              cwd=ROOT,
                              capture_output=True,
                              text=True)
    except FileNotFoundError:
        return ''
    return done.stdout.strip()


def commit(*more: str) -> str:
    """The commit, with a ``+`` if code, configs or ``more`` differ from it."""
    changed = git('status', '--porcelain', 'projects', 'configs', *more)
    return git('rev-parse', '--short', 'HEAD') + '+' * bool(changed)


def need(*keys: str) -> None:
    """Ask for environment variables.

    Raises:
        InputError: One is not set.
    """
    for key in keys:
        if key not in os.environ:
            raise InputError(f'set {key}, see {CONFIG}')


def data_of(*keys: str) -> str:
    """Last parts of the folders and lists that variables name."""
    return '/'.join(
        osp.basename(osp.normpath(os.environ[key])) for key in keys
        if key in os.environ)


def threads() -> str:
    """Number of threads that was asked for."""
    return os.environ.get('OMP_NUM_THREADS', 'default')


class Results:
    """Rows in a JSON file, which is written after each.

    Args:
        path (str): The file; rows that it has stay.
    """

    def __init__(self, path: str) -> None:
        self.path = osp.abspath(path)
        self.rows: List[Row] = []
        if osp.isfile(self.path):
            self.rows = read_json(self.path)

    def has(self, row: str, seed: int) -> bool:
        """Whether a row was measured."""
        return any((r['row'], r['seed']) == (row, seed) for r in self.rows)

    def add(self, *rows: Row) -> None:
        """Add rows."""
        self.rows.extend(rows)
        write(self.path, self.rows)


def write(path: str, content: Any) -> None:
    """Write JSON."""
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    atomic_write(path, (json.dumps(content, indent=1) + '\n').encode())


def print_table(
    results: List[Row], columns: Sequence[str] = ('mIoU', 'fixed', 'oracle')
) -> None:
    """Print mean, lowest and highest of every row, as Markdown.

    Args:
        results (list[dict]): With ``row`` and ``seed``.
        columns (Sequence[str]): Keys, which a row may lack.
    """
    print(f'| row | seeds | {" | ".join(columns)} |')
    print('| -- | -- |' + ' -- |' * len(columns))
    for name in dict.fromkeys(r['row'] for r in results):
        rows = [r for r in results if r['row'] == name]
        cells = []
        for column in columns:
            got = [r[column] for r in rows if column in r]
            cells.append(f'{sum(got) / len(got):.2f} ({min(got):.2f} to '
                         f'{max(got):.2f})' if got else '')
        print(f'| {name} | {len(rows)} | {" | ".join(cells)} |')
