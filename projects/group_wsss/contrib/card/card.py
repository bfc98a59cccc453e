# Copyright (c) group_wsss contributors. All rights reserved.
"""A card from runs: rows of figures, and what they were made of."""
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ...utils.errors import InputError
from ...utils.pool import no_progress
from .dump_metrics import DumpMetrics
from .figures import FIGURES, figures_of
from .runs import Run, read_evaluation


def make_card(runs: Sequence[Run],
              evaluations: Sequence[Tuple[str, str]] = (),
              masks: Optional[str] = None,
              image_list: Optional[str] = None,
              classes: Optional[str] = None,
              nproc: int = 1,
              progress: Callable[[int, int], None] = no_progress,
              written_by: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """Judge the labels of runs and collect what is known of them.

    Masks are read to judge finished labels, and reach nothing else.

    Args:
        runs (Sequence[Run]): Of :func:`find_run`; those of one name are
            seeds of one thing.
        evaluations (Sequence[tuple[str, str]]): Name of a run and JSON of
            :func:`read_evaluation`: segmentation that was judged before.
        masks (str, optional): Folder of masks, index PNGs. Defaults to None:
            labels are not judged.
        image_list (str, optional): Images to judge on. Defaults to those of
            the dumps.
        classes (str, optional): As :func:`group_wsss.evaluation.open_dump`
            takes it.
        nproc (int): Processes; they change no figure. Defaults to 1.
        progress (Callable): Told the images judged and their number.
        written_by (dict, optional): What wrote the card. Defaults to None.

    Returns:
        dict: Plain values ready for JSON; None is "not measured".
        ``judged``: number of images and classes, ``ids_sha256`` (of the
        sorted ids, one a line) and ``masks_sha256`` (of what ``sha256sum``
        prints for these masks in this order); None without masks. ``rows``,
        one a run's name and step: ``run``, ``step``, ``kind`` (``labels``
        or ``segmentation``), ``group_size``, ``results`` (figures and seed
        of each run), ``mean``, ``lowest`` and ``highest`` of each figure,
        and ``times_plain``, the mean mIoU over that of K = 1 (the labels of
        its first step; its segmentation of the same step). ``runs``: facts
        of each.

    Raises:
        InputError: Two runs of one name and seed, dumps of different images
            without a list, or a file that is missing or damaged.
    """
    _check_seeds(runs)
    rows: Dict[Tuple[str, str, str], Dict[str, Any]] = {}

    def add(run: str, step: str, kind: str, size: Optional[int],
            seed: Optional[int], figures: Dict[str, Any]) -> None:
        row = rows.setdefault(
            (run, step, kind),
            dict(run=run, step=step, kind=kind, group_size=size, results=[]))
        row['results'].append(dict(seed=seed, **figures))

    metrics = DumpMetrics(masks, image_list, classes, nproc)
    dumps = [(run, step) for run in runs for step in run.dumps]
    for number, (run, step) in enumerate(dumps):
        figures = metrics(run.dumps[step],
                          partial(_count, progress, number, len(dumps)))
        add(run.name, step, 'labels', run.facts['test_group_size'],
            run.facts['seed'], figures)
    for run in runs:
        for step, value in run.networks.items():
            add(run.name, step, 'segmentation', run.facts['test_group_size'],
                run.facts['seed'], dict(dict.fromkeys(FIGURES), mIoU=value))
    sizes = {run.name: run.facts['test_group_size'] for run in runs}
    for name, path in evaluations:
        add(name, 'evaluation', 'segmentation', sizes.get(name), None,
            figures_of(*read_evaluation(path)))
    return dict(
        format='group_wsss result card 1',
        judged=metrics.facts,
        rows=_finish(list(rows.values())),
        runs=[dict(name=run.name, **run.facts) for run in runs],
        written_by=written_by)


def _check_seeds(runs: Sequence[Run]) -> None:
    """Refuse the same run twice."""
    seen: Dict[Tuple[str, int], str] = {}
    for run in runs:
        if run.facts['seed'] is None:
            continue
        key = (run.name, run.facts['seed'])
        if key in seen:
            raise InputError(f'{run.folder}: {run.name} has seed {key[1]} '
                             f'already, in {seen[key]}; NAME={run.folder} '
                             'gives it a name of its own')
        seen[key] = run.folder


def _count(progress: Callable[[int, int], None], number: int, dumps: int,
           done: int, images: int) -> None:
    """Tell images of one of several dumps as images of all."""
    progress(number * images + done, dumps * images)


def _finish(rows: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Means over seeds, and what K = 1 gives beside them."""
    for row in rows:
        for word, rule in (('mean', _mean), ('lowest', min), ('highest', max)):
            row[word] = {}
            for key in FIGURES:
                values = [result[key] for result in row['results']]
                row[word][key] = None if None in values else rule(values)
    plain = [row for row in rows if row['group_size'] == 1]
    for row in rows:
        row['times_plain'] = None
        beside = [
            other for other in plain if other['kind'] == row['kind'] and (
                row['kind'] == 'labels' or other['step'] == row['step'])
        ]
        if beside and row['mean']['mIoU'] is not None and (
                beside[0]['mean']['mIoU']):
            row['times_plain'] = (
                row['mean']['mIoU'] / beside[0]['mean']['mIoU'])
    return rows


def _mean(values: List[float]) -> float:
    return sum(values) / len(values)
