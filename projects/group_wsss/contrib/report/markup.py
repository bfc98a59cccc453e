# Copyright (c) group_wsss contributors. All rights reserved.
"""Small pieces of HTML; every name passes :func:`html.escape`."""
import json
from html import escape
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

_DASH = '–'
# columns of the table of classes: key, heading
_COLUMNS = (('images', 'Images'), ('share', 'Share of pixels, %'),
            ('tagged', 'Tagged'), ('tag_missed', 'Tag missed'), ('iou', 'IoU'),
            ('precision', 'Precision'), ('recall', 'Recall'),
            ('missed', 'Missed'), ('leak', 'Leaking'))


def number(value: Any, digits: int = 1, unit: str = '') -> str:
    """A number for people; a dash for none.

    Args:
        value (Any): int, float or None.
        digits (int): After the point of a float. Defaults to 1.
        unit (str): Behind it. Defaults to none.

    Returns:
        str: Plain text.
    """
    if value is None or value != value:
        return _DASH
    text = f'{value:,}' if isinstance(value, int) else f'{value:,.{digits}f}'
    return text.replace(',', '\u202f') + unit


def definitions(rows: Sequence[Tuple[str, str]], kind: str) -> str:
    """Terms and what is said of them.

    Args:
        rows (Sequence[tuple[str, str]]): Plain text.
        kind (str): Class of the style sheet.

    Returns:
        str: A ``dl`` element.
    """
    body = ''.join(f'<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd>'
                   '</div>\n' for term, text in rows)
    return f'<dl class="{escape(kind)}">\n{body}</dl>'


def options(pairs: Sequence[Tuple[str, str]]) -> str:
    """``option`` elements of a list of values and texts."""
    return '\n'.join(f'<option value="{escape(value)}">{escape(text)}'
                     '</option>' for value, text in pairs)


def class_table(per_class: Sequence[Mapping[str, Any]]) -> str:
    """All figures of all classes.

    Args:
        per_class (Sequence[Mapping]): ``per_class`` of
            :func:`group_wsss.evaluation.analyze_dump`.

    Returns:
        str: A ``table`` element.
    """
    columns = [pair for pair in _COLUMNS if pair[0] in per_class[0]]
    head = ''.join(f'<th scope="col">{text}</th>' for _, text in columns)
    rows = ''.join(f'<tr><th scope="row">{escape(row["class_name"])}</th>' +
                   ''.join(f'<td>{number(row[key])}</td>'
                           for key, _ in columns) + '</tr>\n'
                   for row in per_class)
    return ('<div class="scroll" tabindex="0" role="region" '
            'aria-label="Figures of each class"><table>\n<thead><tr>'
            f'<th scope="col">Class</th>{head}</tr></thead>\n'
            f'<tbody>{rows}</tbody></table></div>')


def run_rows(manifest: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """How the labels were made, as the manifest has it.

    Args:
        manifest (Mapping): ``manifest.json``; any JSON.

    Returns:
        list[tuple[str, str]]: Terms and plain text.
    """
    rows = []
    for i, step in enumerate(_list(manifest.get('refiners')), 1):
        rows.append((f'Refiner {i}', _step(step)))
    rows.append(('Labeler', _step(manifest.get('labeler'))))
    chosen = _list(manifest.get('chosen_thresholds'))
    if chosen:
        rows.append(('Thresholds chosen from the scores',
                     ', '.join(_plain(value) for value in chosen)))
    checkpoint = manifest.get('checkpoint')
    if isinstance(checkpoint, dict) and checkpoint.get('name'):
        rows.append(('Checkpoint', _plain(checkpoint['name'])))
        rows.append(('Its SHA-256', _plain(checkpoint.get('sha256'))))
    for key, term in (('seed', 'Seed'), ('duration_seconds', 'Seconds')):
        if manifest.get(key) is not None:
            rows.append((term, _plain(manifest[key])))
    versions = manifest.get('versions')
    if isinstance(versions, dict):
        rows.append(
            ('Versions', ', '.join(f'{name} {_plain(version)}'
                                   for name, version in versions.items())))
    return rows


def config_block(manifest: Mapping[str, Any]) -> str:
    """The run's config, folded away; empty if there is none."""
    config: Optional[Any] = manifest.get('config')
    if not config:
        return ''
    text = config if isinstance(config, str) else json.dumps(config, indent=1)
    return ('<details><summary>Config</summary>'
            '<pre tabindex="0" aria-label="Config of the run">'
            f'{escape(text)}</pre></details>')


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _step(step: Any) -> str:
    """Type and arguments of a step."""
    if not isinstance(step, dict):
        return _DASH if step is None else _plain(step)
    step: Dict[str, Any] = dict(step)
    kind = _plain(step.pop('type', 'unknown type'))
    return ', '.join([kind] +
                     [f'{key}={_plain(value)}' for key, value in step.items()])
