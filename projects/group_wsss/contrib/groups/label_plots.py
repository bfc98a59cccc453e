# Copyright (c) group_wsss contributors. All rights reserved.
"""Plots of the labels of a list."""
from typing import Any, Dict

import numpy as np

from ...visualization.figure import (AMBER, BLUE, RED, encode, new_figure,
                                     stacked_bars)

# classes that a plot has room for
_MAX_CLASSES = 60
# key of a row, colour, name
_FATES = (('set_full', BLUE, 'enough for a group'),
          ('set_few', AMBER, 'fewer: partners repeat'), ('set_alone', RED,
                                                         'nobody'))


def plot_class_sizes(statistics: Dict[str, Any]) -> bytes:
    """Images of each class, by who shares their label set.

    Args:
        statistics (dict): Of :func:`label_statistics`;
            the smallest 60 classes are drawn.

    Returns:
        bytes: PNG.
    """
    rows = statistics['per_class']
    title = 'Images of each class; colour: who shares their label set'
    if len(rows) > _MAX_CLASSES:
        title = f'{title} ({_MAX_CLASSES} smallest of {len(rows)} classes)'
        rows = sorted(rows, key=lambda row: row['images'])[:_MAX_CLASSES]
    figure, axes = new_figure(9.5, 1.4 + 0.24 * max(len(rows), 1), title)
    stacked_bars(
        axes, [f'{row["class_name"]}  {row["images"]:,}' for row in rows], {
            name: (colour, np.array([row[key] for row in rows], float))
            for key, colour, name in _FATES
        })
    axes.set_xlabel('images')
    return encode(figure)


def plot_set_sizes(statistics: Dict[str, Any]) -> bytes:
    """Plot the number of images by the size of their label set.

    Args:
        statistics (dict): Of :func:`label_statistics`.

    Returns:
        bytes: PNG.
    """
    rows = statistics['set_sizes']
    figure, axes = new_figure(
        9.5, 3.6, 'Images by the size of their label '
        'set (above the bars: number of sets)')
    place = np.arange(len(rows))
    size = statistics['group_size']
    # a range that begins below the group size may reach beyond it
    colours = [
        RED if row['from'] == 1 else AMBER if row['from'] < size else BLUE
        for row in rows
    ]
    axes.bar(place, [row['images'] for row in rows], 0.8, color=colours)
    for x, row in enumerate(rows):
        axes.text(
            x,
            row['images'],
            f'{row["sets"]:,}',
            ha='center',
            va='bottom',
            fontsize=8)
    axes.set_xticks(
        place, [
            f'{row["from"]:,}'
            if row['from'] == row['to'] else f'{row["from"]:,}-{row["to"]:,}'
            for row in rows
        ],
        fontsize=8,
        rotation=30 if len(rows) > 8 else 0)
    axes.set_xlabel('images that have the same label set')
    axes.set_ylabel('images')
    axes.grid(axis='y', alpha=0.25)
    return encode(figure)
