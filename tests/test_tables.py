# Copyright (c) group_wsss contributors. All rights reserved.
"""Figures in tables of the documentation are those of their raw results."""
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / 'docs'
# header of a column -> key of the raw results
KEYS = {
    'mIoU': 'mIoU',
    'val mIoU': 'val',
    'mean': 'mIoU',
    'lowest': 'mIoU',
    'highest': 'mIoU',
    'Otsu': 'mIoU',
    'fixed': 'fixed',
    'mask-free': 'mask_free',
    'oracle': 'oracle',
    'boundary IoU': 'boundary'
}


def tables(path):
    """Header and rows of each table of a page."""
    table = []
    for line in [*path.read_text('utf-8').splitlines(), '']:
        if line.startswith('|'):
            table.append([cell.strip() for cell in line.strip('|').split('|')])
        elif table:
            yield table[0], table[2:]
            table = []


def raw(name):
    """Raw results of a file by row."""
    rows = {}
    for result in json.loads((DOCS / f'benchmarks/{name}.json').read_text()):
        rows.setdefault(result['row'], []).append(result)
    return rows


FILES = sorted(
    path.stem for path in (DOCS / 'benchmarks').glob('*.json')
    if isinstance(json.loads(path.read_text()), list)
    and 'row' in json.loads(path.read_text())[0])
CASES = [(path.name, header, row)
         for path in sorted(DOCS.rglob('*.md'))
         for header, rows in tables(path)
         if header[0].startswith('row') for row in rows]


def shown(cell):
    """Numbers of ``30.00 (29.67 to 30.25)``."""
    return [float(text) for text in re.findall(r'\d+\.\d+', cell)]


@pytest.mark.parametrize(
    'case', CASES, ids=lambda case: f'{case[0]}:{case[2][0]}')
def test_a_row_is_that_of_its_raw_results(case):
    page, header, row = case
    name, *cells = row
    # the file that the header names, or the first one with such a row
    owner = [file for file in FILES if f'{file}.json' in header[0]] or [
        file for file in FILES if name in raw(file)
    ]
    if not owner:
        assert 'no raw results' in header[0], f'{page}: {name}'
        return
    results = raw(owner[0])[name]
    if 'seed 0' in header[0]:
        results = [result for result in results if result['seed'] == 0]
    checked = 0
    for column, cell in zip(header[1:], cells):
        if column == 'seeds':
            assert int(cell) == len(results), (page, name)
        if column not in KEYS or not cell:
            continue
        values = [result[KEYS[column]] for result in results]
        mean = sum(values) / len(values)
        want = dict(
            lowest=[min(values)], highest=[max(values)]).get(
                column, [mean, min(values), max(values)])
        for got, value in zip(shown(cell), want):
            assert got == pytest.approx(value, abs=.00501), (page, row, column)
            checked += 1
    assert checked, (page, row)


def test_tables_are_found():
    assert len(CASES) > 15 and {'group_size', 'recipe'} <= set(FILES)
