# Copyright (c) group_wsss contributors. All rights reserved.
"""Plots over classes."""
from typing import TYPE_CHECKING, Any, Dict, Sequence

import numpy as np

from ...visualization.plots import (AMBER, BLUE, GRAY, INK, PURPLE, RED,
                                    encode, legend_beside, new_figure)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# key of a share, side, colour, name
_BARS = (('missed_to_background', -1, AMBER, 'missed: background'),
         ('missed_to_unknown', -1, GRAY,
          'missed: unknown'), ('taken', -1, BLUE, 'missed: another class'),
         ('leak', 1, RED, 'label on background (leak)'),
         ('confused', 1, PURPLE, 'label on another class'))
# more cells than that are too small for figures
_MAX_FIGURES = 30


def _names(axes: 'Axes', names: Sequence[str], across: bool = False) -> None:
    """Names at 0, 1, ...; a dollar sign starts no formula."""
    style = dict(fontsize=8, parse_math=False)
    axes.set_yticks(np.arange(len(names)), names, **style)
    if across:
        axes.set_xticks(np.arange(len(names)), names, rotation=90, **style)


def plot_classes(rows: Sequence[Dict[str, Any]]) -> bytes:
    """What is missed of each class, and what its label covers wrongly.

    Args:
        rows (Sequence[dict]): ``per_class`` of a report with masks, of
            :func:`group_wsss.evaluation.analyze_dump`; background, the
            first, is left out, like classes that do not occur.

    Returns:
        bytes: PNG.
    """
    rows = [row for row in rows[1:] if row['iou'] == row['iou']]
    figure, axes = new_figure(
        10, 1.6 + 0.28 * max(len(rows), 1),
        'Left: missed of the objects; right: covered wrongly by the label; '
        'beside the name: IoU')
    place = np.arange(len(rows))
    ends = {-1: np.zeros(len(rows)), 1: np.zeros(len(rows))}
    for key, side, colour, name in _BARS:
        width = side * np.nan_to_num([float(row[key]) for row in rows])
        axes.barh(
            place, width, 0.72, left=ends[side], color=colour, label=name)
        ends[side] = ends[side] + width
    _names(axes, [f'{row["class_name"]}  {row["iou"]:.0f}' for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlim(-100, 100)
    ticks = range(-100, 101, 25)
    axes.set_xticks(ticks, [str(abs(tick)) for tick in ticks])
    axes.set_xlabel('percent of the pixels of the mask (left), '
                    'of the label (right)')
    axes.grid(axis='x', alpha=0.25)
    legend_beside(axes)
    return encode(figure)


def plot_confusions(share: np.ndarray, names: Sequence[str]) -> bytes:
    """Heat map of the classes that are taken for each other.

    Args:
        share (np.ndarray): float ``(n, n)``, percent of the row class's
            pixels that are labelled as the column class, in images whose
            tags hold both; NaN where there is none.
        names (Sequence[str]): ``n`` class names.

    Returns:
        bytes: PNG.
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
    _names(axes, names, across=True)
    axes.spines[['left', 'bottom']].set_visible(False)
    axes.tick_params(length=0)
    axes.set_ylabel('class of the mask')
    axes.set_xlabel('labelled as (grey: never tagged together)')
    figure.colorbar(image, ax=axes, shrink=0.7, label='percent of its pixels')
    return encode(figure)
