# Copyright (c) group_wsss contributors. All rights reserved.
"""``index.html``, from ``static/index.html`` and a report."""
import json
from collections import Counter
from pathlib import Path
from typing import (Any, Collection, Dict, List, Mapping, Optional, Sequence,
                    Tuple)

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...structures.manifest import Manifest
from ..analysis.plots import CURVE_PLACE, chosen_points
from .place import MARK
from .sources import PageSource

STATIC = Path(__file__).parent / 'static'
_DASH = '–'
# columns of the table of classes: key, heading
_COLUMNS = (('images', 'Images'), ('share', 'Share of pixels, %'),
            ('tagged', 'Tagged'), ('tag_missed', 'Tag missed'), ('iou', 'IoU'),
            ('precision', 'Precision'), ('recall', 'Recall'),
            ('missed', 'Missed'), ('leak', 'Leaking'))


def templates(*folders: Path) -> Environment:
    """Templates of a page, whose values are text and never HTML.

    Args:
        *folders (Path): Where they lie.
    """
    return Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True)


def html_page(report: Mapping[str, Any], source: PageSource,
              entries: Sequence[Sequence[Any]],
              plots: Collection[str]) -> bytes:
    """Fill the template.

    Args:
        report (Mapping): Of :func:`group_wsss.contrib.analysis.analyze_dump`.
        source (PageSource): What the page is made from.
        entries (Sequence[Sequence]): Index of the gallery, of
            :func:`make_entry`.
        plots (Collection[str]): Names of the plots in the report.

    Returns:
        bytes: UTF-8.
    """
    pages = templates(STATIC)
    pages.filters['number'] = _number
    left, _, width, _ = CURVE_PLACE
    manifest = source.dump.manifest
    config = manifest and manifest.config
    text = pages.get_template('index.html').render(
        mark=MARK,
        title=source.name,
        report=report,
        plots=plots,
        shown=len(entries),
        has_trust=bool(source.steps),
        notes=source.dump.notes,
        has_scores=source.dump.scores is not None,
        classes=_class_options(entries, source.dump.names),
        columns=[
            pair for pair in _COLUMNS if pair[0] in report['per_class'][0]
        ],
        chosen=chosen_points(report['curve']) if report['curve'] else {},
        # ends of the axes of the curve, in percent of its width
        axes=(100 * left, 100 * (left + width)),
        run=_run_rows(manifest),
        config=config if isinstance(config, str) else
        json.dumps(config, indent=1) if config else '')
    return text.encode()


def _number(value: Any, digits: int = 1, unit: str = '') -> str:
    """A number for people, int or float; a dash for none."""
    if value is None or value != value:
        return _DASH
    text = f'{value:,}' if isinstance(value, int) else f'{value:,.{digits}f}'
    return text.replace(',', '\u202f') + unit


def _class_options(entries: Sequence[Sequence[Any]],
                   names: Sequence[str]) -> List[Tuple[int, str]]:
    """Classes by how many images have them, as label or as tag."""
    counts: Counter = Counter()
    for entry in entries:
        counts.update({*entry[3], *entry[4]})
    return [(i, f'{names[i]} ({count})')
            for i, count in sorted(counts.items())]


def _run_rows(manifest: Optional[Manifest]) -> Dict[str, str]:
    """Facts of how the labels were made, plain texts by term."""
    if manifest is None:
        return {'Labeler': _DASH}
    rows = {
        f'Refiner {i}': _step(step)
        for i, step in enumerate(manifest.refiners, 1)
    }
    rows['Labeler'] = _step(manifest.labeler)
    if manifest.chosen_thresholds:
        rows['Thresholds chosen from the scores'] = ', '.join(
            map(_plain, manifest.chosen_thresholds))
    if manifest.checkpoint.get('name'):
        rows['Checkpoint'] = _plain(manifest.checkpoint['name'])
        rows['Its SHA-256'] = _plain(manifest.checkpoint.get('sha256'))
    for term, value in (('Seed', manifest.seed), ('Seconds',
                                                  manifest.duration_seconds)):
        if value is not None:
            rows[term] = _plain(value)
    rows['Versions'] = ', '.join(
        f'{name} {_plain(version)}'
        for name, version in manifest.versions.items())
    return rows


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _step(step: Any) -> str:
    """Type and arguments of a step."""
    if not isinstance(step, dict):
        return _DASH if step is None else _plain(step)
    kind = _plain(step.get('type', 'unknown type'))
    return ', '.join([kind] + [
        f'{key}={_plain(value)}'
        for key, value in step.items() if key != 'type'
    ])
