# Copyright (c) group_wsss contributors. All rights reserved.
"""Plots as inline SVG; colours come from the style sheet."""
from html import escape
from typing import Any, Dict, List, Mapping, Sequence, Tuple

_WIDTH, _HEIGHT = 720, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 16, 12, 40
_ROW = 24
# lines of the curve, in the order of the legend: column, word
LINES = (('mIoU', 'mIoU'), ('missed', 'missed'), ('leak', 'leaking'))


def _place(x: float, y: float) -> Tuple[float, float]:
    """Position of a share ``x`` in [0, 1] and a percentage ``y``."""
    return (_LEFT + x * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - y / 100 * (_HEIGHT - _TOP - _BOTTOM))


def _text(x: float, y: float, text: str, anchor: str = 'middle') -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
            f'{escape(text)}</text>')


def _frame(title: str,
           note: str,
           label: str,
           percents: bool = True) -> List[str]:
    """Beginning of a plot over [0, 1], of percentages or without a scale."""
    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>'
    ]
    if note:
        parts.append(f'<desc>{escape(note)}</desc>')
    for percent in range(0, 101, 25) if percents else (0, ):
        (x0, y), (x1, _) = _place(0, percent), _place(1, percent)
        parts.append(f'<path class="grid" d="M{x0:.1f} {y:.1f}H{x1:.1f}"/>')
        if percents:
            parts.append(_text(x0 - 8, y + 4, f'{percent}', 'end'))
    for tenth in range(0, 11, 2):
        x, y = _place(tenth / 10, 0)
        parts.append(_text(x, y + 18, f'{tenth / 10:.1f}'))
    parts.append(_text(_place(.5, 0)[0], _HEIGHT - 4, label))
    return parts


def curve_svg(curve: Mapping[str, Any]) -> str:
    """What labels would be worth at each background threshold.

    Args:
        curve (Mapping): ``curve`` of
            :func:`group_wsss.evaluation.analyze_dump`.

    Returns:
        str: An ``svg`` element. The page moves its ``.now`` line.
    """
    best = curve['oracle'] or {}
    note = ('' if not best else
            f'Highest mIoU {best["mIoU"]:.1f} at {best["threshold"]:.3f}')
    parts = _frame(
        'mIoU, missed and leaking pixels in percent by background '
        'threshold', note, 'background threshold')
    for column, word in reversed(LINES):
        points = ' '.join(
            '{:.1f},{:.1f}'.format(*_place(point['threshold'], point[column]))
            for point in curve['points'] if point[column] == point[column])
        parts.append(f'<polyline class="line {word}" points="{points}"/>')
    for kind, point in marks(curve).items():
        x, y = _place(point['threshold'], point['mIoU'])
        parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5">'
                     f'<title>{escape(kind)}</title></circle>')
    (x0, low), (x1, high) = _place(0, 0), _place(1, 100)
    parts.append(f'<line class="now" data-from="{x0:.1f}" data-to="{x1:.1f}" '
                 f'x1="{x0:.1f}" x2="{x0:.1f}" y1="{high:.1f}" '
                 f'y2="{low:.1f}"/></svg>')
    return '\n'.join(parts)


def marks(curve: Mapping[str, Any]) -> Dict[str, Mapping[str, Any]]:
    """Points of a curve that somebody chose, by what chose them."""
    found = dict(manifest=curve['fixed'])
    for name, point in curve['mask_free'].items():
        found[f'{name}, from the scores alone'] = point
    found['best, chosen on the masks'] = curve['oracle']
    return {
        name: point
        for name, point in found.items()
        if point is not None and point['mIoU'] == point['mIoU']
    }


def histogram_svg(histogram: Sequence[float]) -> str:
    """How often the best score of a pixel has which value.

    Args:
        histogram (Sequence[float]): Weights of equal bins over [0, 1].

    Returns:
        str: An ``svg`` element; the highest bin has the full height.
    """
    groups = 64
    step = max(len(histogram) // groups, 1)
    sums = [sum(histogram[i:i + step]) for i in range(0, len(histogram), step)]
    total = sum(sums) or 1
    # most pixels are sure background: the first bin would flatten the rest
    limit = max([*sums[1:-1], 1e-9])
    parts = _frame('Best scores of all pixels', '', 'best score', False)
    for i, value in enumerate(sums):
        x0, y0 = _place(i / len(sums), 0)
        x1, y1 = _place((i + 1) / len(sums), 100 * min(value / limit, 1))
        parts.append(f'<rect class="bar" x="{x0:.1f}" y="{y1:.1f}" '
                     f'width="{x1 - x0 - 1:.1f}" height="{y0 - y1:.1f}">'
                     f'<title>{100 * value / total:.1f} %</title></rect>')
    return '\n'.join(parts) + '</svg>'


def bars_svg(per_class: Sequence[Mapping[str, Any]]) -> str:
    """IoU of each class, the best one first.

    Args:
        per_class (Sequence[Mapping]): ``per_class`` of
            :func:`group_wsss.evaluation.analyze_dump`, with ``iou``.

    Returns:
        str: An ``svg`` element; classes without an IoU are left out.
    """
    rows = [row for row in per_class if row['iou'] == row['iou']]
    rows.sort(key=lambda row: (-row['iou'], row['class_name']))
    left, height = 150, _ROW * len(rows) + 8
    full = _WIDTH - left - 60
    parts = [
        f'<svg class="plot bars" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'aria-label="IoU of each class in percent, in the table below too">'
    ]
    for i, row in enumerate(rows):
        y, name = 4 + i * _ROW, row['class_name']
        short = name if len(name) <= 20 else name[:19] + '…'
        width = full * row['iou'] / 100
        parts += [
            f'<g><title>{escape(name)}: {row["iou"]:.1f}</title>',
            _text(left - 10, y + 16, short, 'end'),
            f'<rect class="track" x="{left}" y="{y + 5}" width="{full}" '
            'height="14" rx="3"/>',
            f'<rect class="bar" x="{left}" y="{y + 5}" width="{width:.1f}" '
            'height="14" rx="3"/>',
            _text(_WIDTH - 8, y + 16, f'{row["iou"]:.1f}', 'end'), '</g>'
        ]
    return '\n'.join(parts) + '</svg>'
