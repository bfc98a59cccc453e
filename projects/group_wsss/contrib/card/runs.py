# Copyright (c) group_wsss contributors. All rights reserved.
"""What the folder of a run says of itself; what it does not say is None."""
import json
import os.path as osp
import re
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ...structures.manifest import MANIFEST, SUPERVISION, Manifest
from ...utils.errors import InputError
from ...utils.files import read_json

# of `tools/misc/stages.py`, a marker a stage
_STAGES = 'stages'
# where a classifier leaves its labels
_INSIDE = 'pseudo_labels'
_SIZES = ('group_size', 'test_group_size')


class Run(NamedTuple):
    """A training, or the stages of a recipe, of one seed.

    Attributes:
        name (str): Runs of one name and of several seeds belong together.
        folder (str): Where it lies.
        dumps (dict[str, str]): Folder of the labels by step, in their order.
        networks (dict[str, float]): mIoU in percent that the
            training of a network logged last, by step.
        facts (dict): ``seed``, ``group_size``, ``test_group_size``,
            ``supervision`` (letters), ``images``, ``seconds`` (by stage, of
            a recipe), ``peak_memory_mb`` (largest process), ``gpu_memory_mb``,
            ``commits``, ``lists`` (SHA-256 by name), ``versions``. None for
            what is not known.
    """
    name: str
    folder: str
    dumps: Dict[str, str]
    networks: Dict[str, float]
    facts: Dict[str, Any]


def find_run(folder: str, name: Optional[str] = None) -> Run:
    """Look through a run.

    Args:
        folder (str): Work directory of a recipe or of a training of stage
            1, or a dump by itself.
        name (str, optional): Defaults to that of the folder.

    Returns:
        Run: What was found.

    Raises:
        InputError: No such folder, no finished dump in it, or a damaged
            file, which is named.
    """
    if not osp.isdir(folder):
        raise InputError(f'{folder}: no such folder')
    markers = _markers(folder)
    steps = [(stage, osp.join(folder, stage)) for stage in markers]
    dumps: Dict[str, str] = {}
    networks: Dict[str, float] = {}
    for step, path in steps or [('labels', folder)]:
        for place in (path, osp.join(path, _INSIDE)):
            if osp.isfile(osp.join(place, MANIFEST)):
                dumps[step] = place
                break
        else:
            logged = _logged(path, 'mIoU')
            if logged:
                networks[step] = logged[-1]
    if not dumps:
        raise InputError(f'{folder}: holds no finished dump: neither '
                         f'{MANIFEST} nor {_INSIDE}/{MANIFEST}, nor stages of '
                         'a recipe that have one')
    manifests = [Manifest.read(path) for path in dumps.values()]
    return Run(
        name or osp.basename(osp.abspath(folder)), folder, dumps, networks,
        dict(
            **_of_manifests(manifests),
            **_of_markers(markers),
            gpu_memory_mb=max(_logged(folder, 'memory'), default=None)))


def read_evaluation(path: str) -> Tuple[List[List[int]], Optional[float]]:
    """Read what the evaluation of a folder has counted.

    Args:
        path (str): JSON of ``tools/eval_labels.py --out``, or
            ``analysis.json`` of ``tools/analyze_labels.py``.

    Returns:
        tuple: Confusion matrix ``(N, N + 1)``, and the boundary mIoU in
        percent, which the second one knows.

    Raises:
        InputError: Missing, or something else.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    content = content if isinstance(content, dict) else {}
    errors = content.get('errors')
    found = errors if isinstance(errors, dict) else content
    rows = found.get('confusion')
    if not (isinstance(rows, list) and len(rows) > 1 and all(
            isinstance(row, list) and len(row) == len(rows) + 1 and all(
                type(count) is int and count >= 0 for count in row)
            for row in rows)):
        raise InputError(f'{path}: holds no evaluation: eval_labels.py --out '
                         'and analyze_labels.py --masks write one')
    boundary = found.get('boundary_mIoU')
    return rows, boundary if isinstance(boundary, float) else None


def _markers(folder: str) -> Dict[str, dict]:
    """Markers of finished stages in their order."""
    found = []
    for path in sorted(Path(folder, _STAGES).glob('*.json')):
        record = read_json(str(path))
        if not isinstance(record, dict):
            raise InputError(f'{path}: is no marker of a stage')
        if record.get('done'):
            number = record.get('number')
            found.append(
                (number if isinstance(number, int) else 0, path.stem, record))
    found.sort(key=lambda item: item[:2])
    return {name: record for _, name, record in found}


def _of_manifests(manifests: List[Manifest]) -> Dict[str, Any]:
    """Facts that dumps know."""
    texts = [m.config for m in manifests if isinstance(m.config, str)]
    letters = {letter for m in manifests for letter in m.supervision}
    seeds = {m.seed for m in manifests}
    sizes = {
        key: _only({int(n) for text in texts
                    for n in re.findall(rf'^{key} = (\d+)$', text, re.M)})
        for key in _SIZES
    }  # yapf: disable
    return dict(
        seed=_only(seeds),
        **sizes,
        supervision=[letter for letter in SUPERVISION if letter in letters],
        images=_only({m.images
                      for m in manifests}),
        versions=dict(manifests[-1].versions) or None)


def _only(values: set) -> Any:
    """The value that all have; None where they differ."""
    return values.pop() if len(values) == 1 else None


def _of_markers(markers: Dict[str, dict]) -> Dict[str, Any]:
    """Facts that the stages of a recipe have left."""
    records = markers.values()
    seconds = {
        stage: record['seconds']
        for stage, record in markers.items()
        if isinstance(record.get('seconds'), (int, float))
    }
    commits = dict.fromkeys(
        commit for record in records for commit in record.get('commits') or ())
    lists: Dict[str, str] = {}
    for record in records:
        if isinstance(record.get('lists'), dict):
            lists.update(record['lists'])
    memory: List[Any] = [record.get('peak_memory_mb') for record in records]
    # a stage that does not know might have needed more
    known = memory and all(isinstance(value, int) for value in memory)
    return dict(
        seconds=seconds or None,
        peak_memory_mb=max(memory) if known else None,
        commits=list(commits) or None,
        lists=lists or None)


def _logged(folder: str, key: str) -> List[float]:
    """Values of a key in the logs of trainings, oldest first."""
    found = []
    for path in sorted(Path(folder).rglob('vis_data/scalars.json')):
        for line in path.read_text('utf-8').splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the last line of a run that was killed
            value = row.get(key) if isinstance(row, dict) else None
            if isinstance(value, (int, float)) and value == value:
                found.append(float(value))
    return found
