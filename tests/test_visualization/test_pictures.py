# Copyright (c) group_wsss contributors. All rights reserved.
"""Pictures that a person can read: colours, outlines, names, tags."""
import numpy as np
import pytest

from group_wsss.structures import ScoreMap
from group_wsss.structures.label_image import voc_palette
from group_wsss.structures.palette import (VOC_CLASSES, bright_palette,
                                           palette_of)
from group_wsss.visualization import (add_legend, contact_sheet, paint_label,
                                      paint_scores)
from group_wsss.visualization.contact_sheet import _font, _width, fit_text


def test_bright_colours_are_bright_and_differ():
    colours = bright_palette()
    assert colours.dtype == np.uint8 and not colours[0].any()
    assert len(np.unique(colours, axis=0)) > 250
    first = colours[1:13].astype(int)
    assert first.max(1).min() > 190  # bright
    assert (first.max(1) - first.min(1)).min() > 100  # not gray
    apart = np.abs(first[:, None] - first[None]).sum(-1)
    assert apart[~np.eye(12, dtype=bool)].min() > 60


def test_which_colours():
    assert (palette_of(VOC_CLASSES) == voc_palette()).all()
    assert (palette_of(['bolt', 'nut']) == bright_palette()).all()
    own = [[0, 0, 0], [1, 2, 3]]
    assert (palette_of(['bolt'], own)[:2] == own).all()
    assert (palette_of(['bolt'], own)[2:] == bright_palette()[2:]).all()


def test_outlines_have_all_of_the_colour():
    image = np.full((9, 9, 3), 100, np.uint8)
    label = np.zeros((9, 9), np.uint8)
    label[2:7, 2:7] = 1
    red = [[0, 0, 0], [255, 0, 0]]
    painted = paint_label(label, image, red)
    full = (painted == (255, 0, 0)).all(-1)
    ring = label == 1
    ring[3:6, 3:6] = False
    assert (full == ring).all()
    inside = np.round(.6 * np.array([255, 0, 0]) + .4 * 75)
    assert (painted[4, 4] == inside).all()
    assert (painted[label == 0] == 75).all()
    # without an image there is nothing to outline against
    assert (paint_label(label, None, red)[label == 1] == (255, 0, 0)).all()
    assert (paint_label(np.full_like(label, 255), None, red) == 255).all()


def test_scores_shine_in_the_colour_of_their_class():
    image = np.full((1, 3, 3), 100, np.uint8)  # dimmed to 75
    score_map = ScoreMap('x', (1, 3), [0], [[[0., .5, 1.]]])
    painted = paint_scores(score_map, image, [[0, 0, 0], [255, 0, 5]])
    assert painted.tolist() == [[[75] * 3, [165, 38, 40], [255, 0, 5]]]


@pytest.mark.parametrize(
    'text', ('short', 'a_very_long_name_of_a_class_0017', 'two\nlines'))
def test_names_keep_both_ends(text):
    font = _font(12)
    short = fit_text(text, font, 90)
    assert _width(font, short) <= 90 and '\n' not in short
    if len(text) > 20:
        head, tail = short.split('...')
        assert text.startswith(head) and text.endswith(tail)
        assert abs(len(head) - len(tail)) <= 1 and len(tail) > 2
    else:
        assert short == ' '.join(text.split())
    assert len(fit_text(text, font, 0)) <= 3


def test_tags_below_an_overlay():
    painted = np.zeros((40, 200, 3), np.uint8)
    label = np.zeros((40, 200), np.uint8)
    names = ['background', 'bolt']
    assert add_legend(painted, label, names) is painted
    tagged = add_legend(painted, label, names, tags=['bolt'])
    assert tagged.shape[0] == 60 and tagged[40:].std() > 5
    other = add_legend(painted, label, names, tags=['nut'])
    assert (other != tagged).any()
    label[0, 0] = 1
    both = add_legend(painted, label, names, [[0] * 3, [250, 9, 8]], ['bolt'])
    assert (both[40:60] == tagged[40:]).all() and len(both) > 60
    assert (both[60:] == (250, 9, 8)).all(-1).any()


def test_names_under_a_small_image_are_whole():
    painted, label = np.zeros((96, 96, 3), np.uint8), np.ones((96, 96), int)
    names = ['background', 'water tower']
    small = add_legend(painted, label, names, tags=['water tower'])
    wide = add_legend(
        np.zeros((96, 240, 3), np.uint8),
        np.ones((96, 240), int),
        names,
        tags=['water tower'])
    assert (small[96:] == wide[96:]).all()
    assert (small[:96, :96] == painted).all()
    assert (small[:96, 96:] == small[0, -1]).all()


def test_long_texts_stay_on_their_sheet():
    tile = np.zeros((50, 50, 3), np.uint8)
    one = contact_sheet([[tile, tile]], ['x' * 80, 'b'], ['c'], side=88)
    two = contact_sheet([[tile, tile]], ['x' * 90, 'b'], ['c'], side=88)
    # shortened to the same: nothing runs into the next column
    assert (np.asarray(one) == np.asarray(two)).all()
