# Copyright (c) group_wsss contributors. All rights reserved.
"""Which files a stage reads, and what is remembered of a run of it."""
import ast
import os.path as osp
import resource
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Set

from group_wsss.utils.config import walk
from group_wsss.utils.versions import sha256_of

# of a dump, what changes with every other one
_OF_A_DUMP = ('manifest.json', 'ids.txt')
# endings of image lists
_LISTS = ('.txt', '.csv', '.json', '.npy')
_ROOT = Path(__file__).resolve().parents[2]


def remember(record: Dict[str, Any], number: int,
             files: Sequence[str]) -> None:
    """Add to a marker what a result card asks for.

    Args:
        record (dict): The marker. It gets ``number``, the place of the stage
            among all; ``commits`` that it ran at, see :func:`commit_of`;
            ``peak_memory_mb``, the most that a process of this stage, or of
            one before it in the same command, had in memory; ``lists``, the
            SHA-256 of the lists that it read, by folder and name.
        number (int): From 1.
        files (Sequence[str]): What the stage read.
    """
    record['number'] = number
    commits = record.setdefault('commits', [])
    commit = commit_of(_ROOT)
    if commit is not None and commit not in commits:
        commits.append(commit)
    kilobytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    record['peak_memory_mb'] = max(
        record.get('peak_memory_mb', 0), round(kilobytes / 1024))
    record['lists'] = {
        '/'.join(Path(path).parts[-2:]): sha256_of(path)
        for path in files if path.endswith(_LISTS) and osp.exists(path)
        and osp.basename(path) not in _OF_A_DUMP
    }


def commit_of(root: Path) -> Optional[str]:
    """Commit of a checkout.

    Args:
        root (Path): The checkout.

    Returns:
        str, optional: Short hash, with ``+`` behind it if code or configs
        differ from the commit; None where there is no checkout or no git.
    """
    if not (root / '.git').exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(['git', '-C', str(root), *words],
                              check=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL,
                              text=True).stdout.strip()

    try:
        commit = git('rev-parse', '--short=12', 'HEAD')
        changed = git('status', '--porcelain', '--', 'projects', 'configs',
                      'tools')
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ('+' if changed else '')


def files_read(settings: Any, made: Sequence[Path]) -> List[str]:
    """Files that a config names: image lists, class lists, checkpoints.

    Args:
        settings (dict | list): The config, overrides applied.
        made (Sequence[Path]): Folders whose content is left out, since
            stages make it.

    Returns:
        list[str]: Paths, sorted; of a dump, manifest and ids; of a folder of
        annotations (``xml_prefix``), each XML; of a config, all that it is
        based on.
    """
    found: Set[str] = set()
    for _, node in walk(settings):
        for key, value in node.items() if isinstance(node, dict) else ():
            if not isinstance(value, str) or not value:
                continue
            path = osp.join(str(node.get('data_root') or ''), value)
            path = path if osp.exists(path) else value
            found.update([path, *(osp.join(path, n) for n in _OF_A_DUMP)])
            if key == 'xml_prefix':
                found.update(map(str, Path(path).rglob('*.xml')))
            elif path.endswith('.py') and osp.isfile(path):
                found.update(config_files(path))
    folders = [folder.resolve() for folder in made]
    return sorted(
        path for path in filter(osp.isfile, found)
        if not set(folders) & set(Path(path).resolve().parents))


def config_files(path: str) -> List[str]:
    """Paths of a config file and of all that it is based on."""
    paths = [path]
    for node in ast.parse(Path(path).read_text()).body:
        names = [getattr(t, 'id', '') for t in getattr(node, 'targets', [])]
        if '_base_' in names:
            bases = ast.literal_eval(node.value)
            for base in [bases] if isinstance(bases, str) else bases:
                paths += config_files(osp.join(osp.dirname(path), base))
    return paths
