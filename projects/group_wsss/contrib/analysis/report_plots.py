# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Dict

import numpy as np

from ...visualization.plots import plot_curve, plot_histogram
from .class_plots import plot_classes, plot_confusions


def report_plots(report: Dict[str, Any]) -> Dict[str, bytes]:
    """All plots that a report has the figures for.

    Args:
        report (dict): Of :func:`group_wsss.evaluation.analyze_dump`.

    Returns:
        dict[str, bytes]: PNGs by file name: ``scores.png`` (with scores),
        ``per_class.png`` and ``confusions.png`` (with masks, the latter if
        classes occur together) and ``curve.png`` (with both).
    """
    plots, curve, scores = {}, report['curve'], report['scores']
    if curve is not None:
        marks = dict(manifest=curve['fixed'])
        for name, point in curve['mask_free'].items():
            marks[f'{name} (from scores alone)'] = point
        marks['oracle (chosen on masks)'] = curve['oracle']
        plots['curve.png'] = plot_curve(
            curve['points'], {
                name: (point['threshold'], point['mIoU'])
                for name, point in marks.items() if point is not None
            })
    if scores is not None:
        lines = {
            f'{name} (from scores alone)': threshold
            for name, threshold in scores['proposals'].items()
        }
        if curve is not None and curve['oracle'] is not None:
            lines['oracle (chosen on masks)'] = curve['oracle']['threshold']
        if report['dump']['bg_threshold'] is not None:
            lines['manifest'] = report['dump']['bg_threshold']
        plots['scores.png'] = plot_histogram(scores['histogram'], lines)
    if report['errors'] is not None:
        plots['per_class.png'] = plot_classes(report['per_class'])
        names = report['dump']['classes']
        share = np.full((len(names), len(names)), np.nan)
        for row in report['errors']['pairs']:
            share[row['mask_index'], row['label_index']] = row['share']
        used = np.flatnonzero(~np.isnan(share).all(axis=0)
                              | ~np.isnan(share).all(axis=1))
        if len(used):
            plots['confusions.png'] = plot_confusions(
                share[np.ix_(used, used)], [names[i] for i in used])
    return plots
