# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.contrib.summaries import class_map_sheet
from group_wsss.structures import ScoreMap
from group_wsss.structures.palette import bright_palette
from group_wsss.visualization import paint_scores


def places(sheet, picture):
    """Where a picture lies on a sheet, pixel by pixel."""
    h, w = picture.shape[:2]
    found = []
    for y, x in np.argwhere((sheet == picture[0, 0]).all(-1)):
        if np.array_equal(sheet[y:y + h, x:x + w], picture):
            found.append((int(y), int(x)))
    return found


@pytest.fixture
def content():
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (48, 48, 3)).astype(np.uint8)
              for _ in range(5)]  # yapf: disable
    maps = [
        ScoreMap(f'photo {i}', (48, 48), [i % 3], rng.random((1, 6, 6)))
        for i in range(5)
    ]
    return photos, maps


def test_images_over_their_maps(content):
    photos, maps = content
    palette = [(0, 0, 0), (250, 10, 20), (30, 240, 50), (60, 70, 230)]
    sheet = class_map_sheet(
        photos,
        maps, [f'cat 0.{i}' for i in range(5)], ['cat', 'dog', 'cow'],
        palette=palette,
        title='Maps',
        note='n',
        side=48,
        columns=2)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    corners = []
    for photo, score_map in zip(photos, maps):
        (top, left), = places(sheet, photo)
        painted = paint_scores(score_map, photo, palette)
        (below, same), = places(sheet, painted)
        assert below > top + 47 and left == same
        corners.append((top, left))
    # two in a row
    rows = [corners[i][0] for i in range(5)]
    assert rows[0] == rows[1] < rows[2] == rows[3] < rows[4]
    assert corners[0][1] == corners[2][1] == corners[4][1] < corners[1][1]
    # a legend of what is shown, at the end
    end = sheet[-40:].reshape(-1, 3)
    for colour in palette[1:]:
        assert (end == colour).all(-1).any()


def test_a_long_legend_has_lines(content):
    photos, maps = content[0][:1], [
        ScoreMap('x', (48, 48), range(20), np.ones((20, 2, 2)))
    ]
    names = [f'a class with a long name {i}' for i in range(20)]
    sheet = class_map_sheet(photos, maps, ['c' * 99], names, side=64)
    colours = np.unique(sheet.reshape(-1, 3), axis=0)
    for colour in bright_palette()[1:21]:
        assert (colours == colour).all(-1).any()


def test_without_any_class(content):
    empty = ScoreMap('x', (48, 48), [], np.zeros((0, 2, 2)))
    sheet = class_map_sheet(content[0][:1], [empty], [''], ['cat'], side=48)
    assert len(places(sheet, content[0][0])) == 1
