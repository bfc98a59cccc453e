# Copyright (c) group_wsss contributors. All rights reserved.
"""Plots over scores and thresholds; matplotlib without its global state."""
import io
import warnings
from typing import TYPE_CHECKING, Dict, Sequence, Tuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, AMBER, GRAY = '#2f6db3', '#c8442f', '#e0a32e', '#8a8a90'
GREEN, PURPLE, INK = '#3d8f5a', '#8f5fae', '#202024'


def new_figure(width: float, height: float,
               title: str) -> Tuple['Figure', 'Axes']:
    """A figure with one pair of axes, unknown to pyplot.

    Args:
        width (float): Inches.
        height (float): Inches.
        title (str): Over the axes.

    Returns:
        tuple[Figure, Axes]: Of matplotlib.
    """
    # slow to import, and few who import this room draw
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=110, layout='constrained')
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11, loc='left')
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def legend_beside(axes: 'Axes') -> None:
    """A legend to the right of the axes, over none of the data."""
    axes.legend(
        fontsize=8, frameon=False, loc='upper left', bbox_to_anchor=(1.0, 1.0))


def encode(figure: 'Figure') -> bytes:
    """PNG of a figure; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # a name in a script that the font lacks becomes boxes, no warning
        warnings.filterwarnings('ignore', message='Glyph')
        figure.savefig(buffer, format='png', metadata=dict(Software=None))
    return buffer.getvalue()


def plot_curve(points: Sequence[Dict[str, float]],
               marks: Dict[str, Tuple[float, float]]) -> bytes:
    """mIoU, missed objects and leak against the background threshold.

    Args:
        points (Sequence[dict]): Of
            :func:`group_wsss.contrib.analysis.threshold_curve`.
        marks (dict[str, tuple[float, float]]): Threshold and mIoU of named
            points.

    Returns:
        bytes: PNG.
    """
    figure, axes = new_figure(9.5, 4.2, 'Labels by background threshold')
    place = [point['threshold'] for point in points]
    lines = (('mIoU', 'mIoU', BLUE,
              2.0), ('missed', 'missed share of the objects', AMBER, 1.2),
             ('leak', 'share of the labelled foreground\non background (leak)',
              RED, 1.2))
    for key, name, colour, width in lines:
        values = [point[key] for point in points]
        axes.plot(place, values, color=colour, label=name, linewidth=width)
    for i, (name, (threshold, miou)) in enumerate(marks.items()):
        axes.plot(
            threshold,
            miou,
            'osD^v*P'[i % 7],
            color=(INK, GREEN, PURPLE)[i % 3],
            markeredgecolor='white',
            markersize=8,
            label=f'{name}:\n{threshold:.4g}, mIoU {miou:.1f}')
    axes.set_xlabel('background threshold of the saved scores')
    axes.set_ylabel('percent')
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.25)
    legend_beside(axes)
    return encode(figure)


def plot_histogram(histogram: Sequence[int], marks: Dict[str, float]) -> bytes:
    """Histogram of best scores.

    Args:
        histogram (Sequence[int]): Weights of equal bins on [0, 1].
        marks (dict[str, float]): Named thresholds.

    Returns:
        bytes: PNG.
    """
    figure, axes = new_figure(9.5, 3.6, 'Best score of each cell of the maps')
    weights = np.asarray(histogram, dtype=np.float64)
    share = 100 * weights / max(weights.sum(), 1)
    edges = np.linspace(0, 1, len(share) + 1)
    axes.stairs(share, edges, fill=True, color=GRAY)
    colours = (INK, GREEN, PURPLE, BLUE, RED, AMBER)
    for i, (name, threshold) in enumerate(marks.items()):
        axes.axvline(
            threshold,
            color=colours[i % len(colours)],
            linestyle=('-', '--', ':')[i % 3],
            label=f'{name}:\n{threshold:.4g}')
    axes.set_xlim(0, 1)
    # a spike, mostly at 0, would flatten all the rest
    second, first = np.sort(share)[-2:]
    if first > 3 * second > 0:
        axes.set_ylim(0, 1.5 * second)
        axes.text(
            0.03,
            0.95,
            f'highest bar: {first:.0f} %',
            fontsize=8,
            transform=axes.transAxes)
    axes.set_xlabel('score')
    axes.set_ylabel('percent, images weigh the same')
    if marks:
        legend_beside(axes)
    return encode(figure)
