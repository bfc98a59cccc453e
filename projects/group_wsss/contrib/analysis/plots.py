# Copyright (c) group_wsss contributors. All rights reserved.
"""Plots of a report."""
from typing import TYPE_CHECKING, Any, Dict, Mapping, Sequence

import numpy as np

from ...visualization.figure import (AMBER, BLUE, GRAY, GREEN, INK, PURPLE,
                                     RED, encode, legend_beside, name_ticks,
                                     new_figure, stacked_bars)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# axes of the curve, as shares of the figure: left, bottom, width, height
CURVE_PLACE = (0.06, 0.13, 0.62, 0.78)
# column of a curve, name, colour, width of the line
_LINES = (('mIoU', 'mIoU', BLUE,
           2.0), ('missed', 'missed share of the objects', AMBER, 1.2),
          ('leak', 'share of the labelled foreground\non background (leak)',
           RED, 1.2))
# key of a share, side, colour, name
_BARS = (('missed_to_background', -1, AMBER, 'missed: background'),
         ('missed_to_unknown', -1, GRAY,
          'missed: unknown'), ('taken', -1, BLUE, 'missed: another class'),
         ('leak', 1, RED, 'label on background (leak)'),
         ('confused', 1, PURPLE, 'label on another class'))
# more cells than that are too small for figures
_MAX_FIGURES = 30


def chosen_points(curve: Mapping[str, Any]) -> Dict[str, Mapping[str, Any]]:
    """Points of a threshold curve that somebody chose.

    Args:
        curve (Mapping): ``curve`` of :func:`analyze_dump`.

    Returns:
        dict[str, Mapping]: Those that have a mIoU, by what chose them.
    """
    found = dict(manifest=curve['fixed'])
    for name, point in curve['mask_free'].items():
        found[f'{name} (from scores alone)'] = point
    found['oracle (chosen on masks)'] = curve['oracle']
    return {
        name: point
        for name, point in found.items()
        if point is not None and point['mIoU'] == point['mIoU']
    }


def plot_curve(curve: Mapping[str, Any]) -> 'Figure':
    """mIoU, missed objects and leak against the background threshold.

    Args:
        curve (Mapping): ``curve`` of :func:`analyze_dump`.

    Returns:
        Figure: Its axes, over thresholds in [0, 1], are at ``CURVE_PLACE``.
    """
    figure, axes = new_figure(9.5, 4.2, 'Labels by background threshold',
                              CURVE_PLACE)
    points = curve['points']
    place = [point['threshold'] for point in points]
    for key, name, colour, width in _LINES:
        values = [point[key] for point in points]
        axes.plot(place, values, color=colour, label=name, linewidth=width)
    for i, (name, point) in enumerate(chosen_points(curve).items()):
        axes.plot(
            point['threshold'],
            point['mIoU'],
            'osD^v*P'[i % 7],
            color=(INK, GREEN, PURPLE)[i % 3],
            markeredgecolor='white',
            markersize=8,
            label=f'{name}:\n{point["threshold"]:.4g}, '
            f'mIoU {point["mIoU"]:.1f}')
    axes.set(
        xlabel='background threshold of the saved scores',
        ylabel='percent',
        xlim=(0, 1),
        ylim=(0, 100))
    axes.grid(alpha=0.25)
    legend_beside(axes)
    return figure


def plot_histogram(histogram: Sequence[int],
                   marks: Mapping[str, float]) -> 'Figure':
    """Histogram of best scores.

    Args:
        histogram (Sequence[int]): Weights of equal bins on [0, 1].
        marks (Mapping[str, float]): Named thresholds.

    Returns:
        Figure: Of matplotlib.
    """
    figure, axes = new_figure(9.5, 3.6, 'Best score of each cell of the maps')
    weights = np.asarray(histogram, dtype=np.float64)
    share = 100 * weights / max(weights.sum(), 1)
    axes.stairs(
        share, np.linspace(0, 1,
                           len(share) + 1), fill=True, color=GRAY)
    colours = (INK, GREEN, PURPLE, BLUE, RED, AMBER)
    for i, (name, threshold) in enumerate(marks.items()):
        axes.axvline(
            threshold,
            color=colours[i % len(colours)],
            linestyle=('-', '--', ':')[i % 3],
            label=f'{name}:\n{threshold:.4g}')
    axes.set(
        xlabel='score', ylabel='percent, images weigh the same', xlim=(0, 1))
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
    if marks:
        legend_beside(axes)
    return figure


def plot_classes(rows: Sequence[Mapping[str, Any]]) -> 'Figure':
    """Shares of each class that are missed, and that its label covers wrongly.

    Args:
        rows (Sequence[Mapping]): ``per_class`` of a report with masks, of
            :func:`analyze_dump`; background, the first, is left out, like
            classes that do not occur.

    Returns:
        Figure: Of matplotlib.
    """
    rows = [row for row in rows[1:] if row['iou'] == row['iou']]
    figure, axes = new_figure(
        10, 1.6 + 0.28 * max(len(rows), 1),
        'Left: missed of the objects; right: covered wrongly by the label; '
        'beside the name: IoU')
    stacked_bars(
        axes, [f'{row["class_name"]}  {row["iou"]:.0f}' for row in rows], {
            name:
            (colour, side * np.nan_to_num([float(row[key]) for row in rows]))
            for key, side, colour, name in _BARS
        })
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlim(-100, 100)
    ticks = range(-100, 101, 25)
    axes.set_xticks(ticks, [str(abs(tick)) for tick in ticks])
    axes.set_xlabel('percent of the pixels of the mask (left), '
                    'of the label (right)')
    return figure


def plot_confusions(share: np.ndarray, names: Sequence[str]) -> 'Figure':
    """Heat map of the classes that are taken for each other.

    Args:
        share (np.ndarray): float ``(n, n)``, percent of the row class's
            pixels that are labelled as the column class, in images whose
            tags hold both; NaN where there is none.
        names (Sequence[str]): ``n`` class names.

    Returns:
        Figure: Of matplotlib.
    """
    from matplotlib import colormaps
    side = 2.6 + 0.3 * max(len(names), 3)
    figure, axes = new_figure(side + 0.8, side,
                              'Taken for each other in images of both')
    known = ~np.isnan(share)
    top = max(float(share[known].max()) if known.any() else 0.0, 1.0)
    colours = colormaps['YlOrRd'].with_extremes(bad='#f0f0f0')
    image = axes.imshow(
        np.ma.masked_invalid(share), cmap=colours, vmin=0, vmax=top)
    for i, j in np.argwhere(known & (np.nan_to_num(share) >= 0.5)):
        if len(names) <= _MAX_FIGURES:
            axes.text(
                j,
                i,
                f'{share[i, j]:.0f}',
                ha='center',
                va='center',
                fontsize=7,
                color='white' if share[i, j] > 0.6 * top else INK)
    name_ticks(axes.yaxis, names)
    name_ticks(axes.xaxis, names, rotation=90)
    axes.spines[['left', 'bottom']].set_visible(False)
    axes.tick_params(length=0)
    axes.set_ylabel('class of the mask')
    axes.set_xlabel('labelled as (grey: never tagged together)')
    figure.colorbar(image, ax=axes, shrink=0.7, label='percent of its pixels')
    return figure


def _plot_scores(report: Mapping[str, Any]) -> 'Figure':
    """Histogram with all thresholds that somebody chose."""
    scores, curve = report['scores'], report['curve']
    lines = {
        f'{name} (from scores alone)': threshold
        for name, threshold in scores['proposals'].items()
    }
    if curve is not None and curve['oracle'] is not None:
        lines['oracle (chosen on masks)'] = curve['oracle']['threshold']
    if report['dump']['bg_threshold'] is not None:
        lines['manifest'] = report['dump']['bg_threshold']
    return plot_histogram(scores['histogram'], lines)


def report_plots(report: Mapping[str, Any],
                 kind: str = 'png') -> Dict[str, bytes]:
    """All plots that a report has the figures for.

    Args:
        report (Mapping): Of :func:`analyze_dump`.
        kind (str): ``'png'`` or ``'svg'``. Defaults to ``'png'``.

    Returns:
        dict[str, bytes]: Files by name: ``scores.png`` (with scores),
        ``per_class.png`` and ``confusions.png`` (with masks, the latter if
        classes occur together) and ``curve.png`` (with both).
    """
    plots: Dict[str, 'Figure'] = {}
    if report['curve'] is not None:
        plots['curve'] = plot_curve(report['curve'])
    if report['scores'] is not None:
        plots['scores'] = _plot_scores(report)
    if report['errors'] is not None:
        plots['per_class'] = plot_classes(report['per_class'])
        names = report['dump']['classes']
        share = np.full((len(names), len(names)), np.nan)
        for row in report['errors']['pairs']:
            share[row['mask_index'], row['label_index']] = row['share']
        known = ~np.isnan(share)
        used = np.flatnonzero(known.any(axis=0) | known.any(axis=1))
        if len(used):
            plots['confusions'] = plot_confusions(share[np.ix_(used, used)],
                                                  [names[i] for i in used])
    return {
        f'{name}.{kind}': encode(plot, kind)
        for name, plot in plots.items()
    }
