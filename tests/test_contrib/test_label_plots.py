# Copyright (c) group_wsss contributors. All rights reserved.
import io

import numpy as np
import pytest
from PIL import Image

from group_wsss.contrib.groups.group_sheet import GroupMember, group_sheet
from group_wsss.contrib.groups.label_plots import (plot_class_sizes,
                                                   plot_set_sizes)
from group_wsss.contrib.groups.label_statistics import label_statistics
from group_wsss.datasets import LabelIndex


def pixels(png):
    image = Image.open(io.BytesIO(png))
    assert image.format == 'PNG'
    return np.asarray(image.convert('RGB')).astype(int)


def count(image, colour):
    rgb = [int(colour[i:i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(image - rgb).max(axis=2) < 12).sum())


@pytest.mark.parametrize('plot', [plot_class_sizes, plot_set_sizes])
def test_colours_tell_the_fate(plot):
    # 6 images share a set, 2 share one, 1 is alone
    labels = [[0]] * 6 + [[1]] * 2 + [[2]]
    statistics = label_statistics(
        LabelIndex(labels, 3), 4, ['a $\\foo$ _b^', '猫', 'c'])
    first = plot(statistics)
    assert first == plot(statistics)
    image = pixels(first)
    blue, amber, red = (
        count(image, colour) for colour in ('#2f6db3', '#e0a32e', '#c8442f'))
    assert blue > 2 * amber > 2 * red > 100


@pytest.mark.slow
def test_more_classes_than_fit(monkeypatch):
    labels = [[c] for c in range(90) for _ in range(c + 1)]
    statistics = label_statistics(LabelIndex(labels, 90), 4)
    image = pixels(plot_class_sizes(statistics))
    assert image.shape[0] < 2000
    # the lonely class is among the smallest
    assert count(image, '#c8442f') > 0
    nothing = label_statistics(LabelIndex([[], []], 0), 2)
    plot_class_sizes(nothing)
    plot_set_sizes(nothing)


def member(colour, name='image', tags=(('cat', True), ), shape=(30, 40)):
    return GroupMember(np.full((*shape, 3), colour, np.uint8), name, tags)


def test_group_sheet():
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    many = [(f'a class with number {i}', i < 2) for i in range(30)]
    groups = [[member(red), member(green, 'x' * 200, many)],
              [member(blue, shape=(60, 7)),
               member(red, 'no tags', [])]]
    sheet = np.asarray(group_sheet(groups, 'title', 'note')).astype(int)
    height, width = sheet.shape[:2]
    # one row a group, the anchor to the left
    for colour, left, top in ((green, False, True), (blue, True, False)):
        place = np.argwhere(np.abs(sheet - colour).max(axis=2) < 12)
        assert len(place) > 1000
        assert (place[:, 1].max() < width / 2) == left
        assert (place[:, 0].max() < height * .6) == top
    narrow = np.argwhere(np.abs(sheet - blue).max(axis=2) < 12)
    rows, columns = np.ptp(narrow, axis=0) + 1
    assert rows / columns == pytest.approx(60 / 7, rel=.15)
    # bold and faint tags differ
    plain = [[member(red, tags=[('cat', False)])]]
    assert group_sheet([[member(red)]]) != group_sheet(plain)
