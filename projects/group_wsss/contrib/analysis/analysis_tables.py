# Copyright (c) group_wsss contributors. All rights reserved.
"""Files of a report: JSON and CSV."""
import csv
import io
import json
import math
from typing import Any, Dict, Mapping, Sequence

# of a list in one cell
_JOIN = '; '


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: no figure is null."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def csv_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A table with a header; the keys of the first row are the columns.

    Args:
        rows (Sequence[Mapping]): All with the same keys. None and NaN give
            an empty cell, a list its members between semicolons.

    Returns:
        bytes: UTF-8, lines end in ``\\n``.
    """

    def cell(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return _JOIN.join(str(item) for item in value)
        if isinstance(value, float):
            return '' if value != value else f'{value:.6g}'
        return value

    buffer = io.StringIO(newline='')
    writer = csv.writer(buffer, lineterminator='\n')
    if rows:
        writer.writerow(rows[0].keys())
    writer.writerows([cell(value) for value in row.values()] for row in rows)
    return buffer.getvalue().encode()


def report_files(report: Dict[str, Any]) -> Dict[str, bytes]:
    """Text files of a report.

    Args:
        report (dict): Of :func:`analyze_dump`.

    Returns:
        dict[str, bytes]: By name: ``analysis.json``, ``per_class.csv``,
        ``images.csv``, and, if the report has them, ``curve.csv`` and
        ``confusions.csv``.
    """
    text = json.dumps(_plain(report), indent=1) + '\n'
    files = {
        'analysis.json': text.encode(),
        'per_class.csv': csv_bytes(report['per_class']),
        'images.csv': csv_bytes(report['images'])
    }
    if report['curve'] is not None:
        files['curve.csv'] = csv_bytes(report['curve']['points'])
    if report['errors'] is not None:
        files['confusions.csv'] = csv_bytes(report['errors']['pairs'])
    return files
