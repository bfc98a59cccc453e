# Copyright (c) group_wsss contributors. All rights reserved.
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from group_wsss.contrib.analysis import (plot_classes, plot_confusions,
                                         plot_curve, plot_histogram)
from group_wsss.visualization.figure import encode

# a formula that matplotlib cannot parse, a script that its font lacks
NAMES = ['background', 'a $\\foo$ _b^', '猫', 'plain']
BARS = ('missed_to_background', 'missed_to_unknown', 'taken', 'leak',
        'confused')


def _pixels(figure):
    image = Image.open(io.BytesIO(encode(figure)))
    assert image.format == 'PNG' and not image.info.get('Software')
    return np.asarray(image.convert('RGB')).astype(int)


def _count(pixels, colour):
    """Pixels of about a colour."""
    rgb = [int(colour[i:i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(pixels - rgb).max(axis=2) < 12).sum()


def _curve(miou):
    points = [
        dict(threshold=t, mIoU=miou, missed=90 * t, leak=float('nan'))
        for t in np.linspace(0, .95, 20)
    ]
    return dict(
        points=points, fixed=points[8], mask_free=dict(otsu=None), oracle=None)


def test_curve():
    first = plot_curve(_curve(40.))
    for kind in ('png', 'svg'):
        data = encode(first, kind)
        assert data == encode(plot_curve(_curve(40.)), kind)
        assert data != encode(plot_curve(_curve(60.)), kind)
    assert _count(_pixels(first), '#2f6db3') > 500
    encode(plot_curve(_curve(float('nan'))))


@pytest.mark.parametrize('weights', ([0] * 256, [1000] + [1] * 255, [5] * 256))
def test_histogram(weights):
    pixels = _pixels(plot_histogram(weights, {'otsu': .4, 'manifest': .5}))
    assert (_count(pixels, '#8a8a90') > 20000) == bool(weights[0])


def test_class_bars():
    rows = [
        dict(class_name=name, iou=iou, **dict.fromkeys(BARS, share))
        for name, iou, share in zip(NAMES, (50., 40., 30.,
                                            np.nan), (np.nan, 30., np.nan,
                                                      20.))
    ]
    few = _pixels(plot_classes(rows))
    for row in rows:
        row['leak'] *= 2
    assert _count(_pixels(plot_classes(rows)),
                  '#c8442f') > 1.5 * _count(few, '#c8442f') > 0
    encode(plot_classes(rows[:1]))


def test_confusions_and_foreign_names(recwarn):
    share = np.full((4, 4), np.nan)
    share[1, 2], share[2, 1] = 80, 0
    pixels = _pixels(plot_confusions(share, NAMES))
    assert _count(pixels, '#800026') > 200
    assert _count(pixels, '#f0f0f0') > 2000
    encode(plot_confusions(np.full((1, 1), np.nan), NAMES[:1]))
    encode(plot_confusions(np.eye(40), [str(i) for i in range(40)]))
    assert not [item for item in recwarn if 'Glyph' in str(item.message)]


@pytest.mark.slow
def test_plots_leave_pyplot_alone():
    code = ('import sys; from group_wsss.visualization import figure; '
            'assert "matplotlib" not in sys.modules; '
            'figure.encode(figure.new_figure(1, 1, "")[0], "svg"); '
            'assert "matplotlib.pyplot" not in sys.modules')
    subprocess.run([sys.executable, '-c', code],
                   check=True,
                   cwd=Path(__file__).parents[2] / 'projects')
