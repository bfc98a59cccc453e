# Copyright (c) group_wsss contributors. All rights reserved.
"""Plain text tables for logs and terminals."""
from typing import Any, Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence]) -> str:
    """Align columns; numbers have two decimals, NaN is a dash.

    Args:
        header (Sequence[str]): Column names; the first column is text.
        rows (Sequence[Sequence]): Cells: str, int or float.

    Returns:
        str: Lines without a trailing newline.
    """
    lines = [list(header)] + [[_cell(value) for value in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    lines.insert(1, ['-' * width for width in widths])
    return '\n'.join('  '.join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
                     for line in lines)


def _cell(value: Any) -> str:
    """Text of one cell."""
    if isinstance(value, float):
        return '-' if value != value else f'{value:.2f}'
    return str(value)
