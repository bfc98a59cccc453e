# Copyright (c) group_wsss contributors. All rights reserved.
"""A card from runs: rows of figures, and what they were made of."""
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ...utils.errors import InputError
from ...utils.pool import no_progress
from .dump_metrics import judge_dumps
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

    def add(run: str, step: str, kind: str, facts: Dict[str, Any],
            figures: Dict[str, Any]) -> None:
        row = rows.setdefault((run, step, kind),
                              dict(
                                  run=run,
                                  step=step,
                                  kind=kind,
                                  group_size=facts.get('test_group_size'),
                                  results=[]))
        row['results'].append(dict(seed=facts.get('seed'), **figures))

    dumps = [(run, step) for run in runs for step in run.dumps]
    found, judged = judge_dumps([run.dumps[step] for run, step in dumps],
                                masks, image_list, classes, nproc, progress)
    for (run, step), figures in zip(dumps, found):
        add(run.name, step, 'labels', run.facts, figures)
    for run in runs:
        for step, value in run.networks.items():
            add(run.name, step, 'segmentation', run.facts,
                dict(dict.fromkeys(FIGURES), mIoU=value))
    sizes = {run.name: run.facts['test_group_size'] for run in runs}
    for name, path in evaluations:
        add(name, 'evaluation', 'segmentation',
            dict(test_group_size=sizes.get(name)),
            figures_of(*read_evaluation(path)))
    return dict(
        format='group_wsss result card 1',
        judged=judged,
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


def _finish(rows: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Means over seeds, and what K = 1 gives beside them."""
    rules: Dict[str, Callable] = dict(
        mean=lambda values: sum(values) / len(values), lowest=min, highest=max)
    for row in rows:
        for word, rule in rules.items():
            row[word] = {}
            for key in FIGURES:
                values = [result[key] for result in row['results']]
                row[word][key] = None if None in values else rule(values)
    for row in rows:
        own = row['mean']['mIoU']
        plain = next(
            (other['mean']['mIoU'] for other in rows
             if other['group_size'] == 1 and other['kind'] == row['kind'] and
             (row['kind'] == 'labels' or other['step'] == row['step'])), None)
        row['times_plain'] = own / plain if plain and own is not None else None
    return rows
