# Copyright (c) group_wsss contributors. All rights reserved.
"""Common part of all plots; matplotlib without its global state."""
import io
import warnings
from typing import TYPE_CHECKING, Dict, Optional, Sequence, Tuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BLUE, RED, AMBER, GRAY = '#2f6db3', '#c8442f', '#e0a32e', '#8a8a90'
GREEN, PURPLE, INK = '#3d8f5a', '#8f5fae', '#202024'


def new_figure(
    width: float,
    height: float,
    title: str,
    place: Optional[Tuple[float, float, float, float]] = None
) -> Tuple['Figure', 'Axes']:
    """A figure with one pair of axes, unknown to pyplot.

    Args:
        width (float): Inches.
        height (float): Inches.
        title (str): Over the axes.
        place (tuple[float, float, float, float], optional): Left, bottom,
            width and height of the axes, as shares of the figure. Defaults
            to None: as large as texts and legend allow.

    Returns:
        tuple[Figure, Axes]: Of matplotlib.
    """
    # slow to import, and few who import this room draw
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=110)
    if place is None:
        figure.set_layout_engine('constrained')
        axes = figure.add_subplot()
    else:
        axes = figure.add_axes(place)
    axes.set_title(title, fontsize=11, loc='left')
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def legend_beside(axes: 'Axes') -> None:
    """A legend to the right of the axes, over none of the data."""
    axes.legend(
        fontsize=8, frameon=False, loc='upper left', bbox_to_anchor=(1.0, 1.0))


def name_ticks(axis: 'Axis', names: Sequence[str], rotation: int = 0) -> None:
    """Names at 0, 1, ...; a dollar sign starts no formula."""
    axis.set_ticks(
        np.arange(len(names)),
        names,
        fontsize=8,
        parse_math=False,
        rotation=rotation)


def stacked_bars(axes: 'Axes', names: Sequence[str],
                 parts: Dict[str, Tuple[str, np.ndarray]]) -> None:
    """A bar for each name, from top to bottom, with a legend beside them.

    Args:
        axes (Axes): Of :func:`new_figure`.
        names (Sequence[str]): ``n`` names.
        parts (dict[str, tuple[str, np.ndarray]]): Colour and ``(n, )``
            lengths of each part by its name; negative lengths add up to the
            left.
    """
    place = np.arange(len(names))
    ends = {side: np.zeros(len(names)) for side in (False, True)}
    for label, (colour, lengths) in parts.items():
        side = bool((lengths < 0).any())
        axes.barh(
            place, lengths, 0.72, left=ends[side], color=colour, label=label)
        ends[side] = ends[side] + lengths
    name_ticks(axes.yaxis, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis='x', alpha=0.25)
    legend_beside(axes)


def encode(figure: 'Figure', kind: str = 'png') -> bytes:
    """File of a figure; the same figure gives the same bytes.

    Args:
        figure (Figure): Of :func:`new_figure`.
        kind (str): ``'png'``, or ``'svg'``: without a background, its texts
            remain text. Defaults to ``'png'``.

    Returns:
        bytes: Without a date or the name of a program.
    """
    from matplotlib import rc_context
    unsaid = dict(png=('Software', ), svg=('Date', 'Creator'))[kind]
    buffer = io.BytesIO()
    with warnings.catch_warnings(), rc_context({
            'svg.hashsalt': 'group_wsss',
            'svg.fonttype': 'none'
    }):
        # a name in a script that the font lacks becomes boxes, no warning
        warnings.filterwarnings('ignore', message='Glyph')
        figure.savefig(
            buffer,
            format=kind,
            metadata=dict.fromkeys(unsaid),
            transparent=kind == 'svg')
    return buffer.getvalue()
