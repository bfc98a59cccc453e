# Copyright (c) group_wsss contributors. All rights reserved.
"""A card as one HTML file, with the looks of a report."""
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from ...structures.manifest import SUPERVISION
from ...utils.progress import human_seconds
from ..report.html_page import STATIC as REPORT
from ..report.html_page import templates
from .figures import FIGURES

STATIC = Path(__file__).parent / 'static'
UNKNOWN = 'not measured'


def card_page(card: Mapping[str, Any]) -> bytes:
    """Fill the template.

    Args:
        card (Mapping): Of :func:`make_card`.

    Returns:
        bytes: UTF-8; it loads nothing else, so it can be sent.
    """
    text = templates(STATIC, REPORT).get_template('card.html').render(
        card=card,
        figures=FIGURES,
        cell=_cell,
        runs=[(run['name'], _run_facts(run)) for run in card['runs']],
        unknown=UNKNOWN)
    return text.encode()


def _cell(row: Mapping[str, Any], key: str) -> Optional[str]:
    """The mean of a figure of a row, and the range of several results."""
    mean = row['mean'][key]
    if mean is None:
        return None
    if len(row['results']) == 1:
        return f'{mean:.2f}'
    return (f'{mean:.2f} ({row["lowest"][key]:.2f} to '
            f'{row["highest"][key]:.2f})')


def _run_facts(run: Mapping[str, Any]) -> Dict[str, str]:
    """Facts of a run for people, by term."""
    seconds = run['seconds']
    texts = {
        'Seed': run['seed'],
        'Images labelled': run['images'],
        'Group size in training': run['group_size'],
        'Group size at inference': run['test_group_size'],
        'Supervision': ', '.join(f'{SUPERVISION[letter]} ({letter})'
                                 for letter in run['supervision']),
        'Time': seconds and human_seconds(sum(seconds.values())) + ' (' +
        ', '.join(f'{stage} {human_seconds(value)}'
                  for stage, value in seconds.items()) + ')',
        'Memory of the largest process': _megabytes(run['peak_memory_mb']),
        'Memory of the GPU': _megabytes(run['gpu_memory_mb']),
        'Commit': run['commits'] and ', '.join(run['commits']),
        'Versions': run['versions'] and ', '.join(
            f'{name} {version}' for name, version in run['versions'].items()),
    }  # yapf: disable
    lists = run['lists'] or {'Lists': None}
    texts.update({
        name if value is None else f'SHA-256 of {name}': value
        for name, value in lists.items()
    })
    return {
        term: UNKNOWN if value in (None, '') else str(value)
        for term, value in texts.items()
    }


def _megabytes(value: Optional[float]) -> Optional[str]:
    return None if value is None else f'{value:.0f} MB'
