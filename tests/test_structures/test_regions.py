# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from group_wsss.structures.regions import (SETTINGS, Regions, read_regions,
                                           regions_supervision, write_regions)
from group_wsss.utils.errors import InputError

SIZE = (6, 9)


def masks(count=4, seed=0):
    """Rectangles that overlap, one of them empty."""
    rng = np.random.default_rng(seed)
    found = [np.zeros(SIZE, bool)]
    for _ in range(count):
        top, left = rng.integers(0, 5, 2)
        mask = np.zeros(SIZE, bool)
        mask[top:top + 3, left:left + 4] = True
        found.append(mask)
    return found


def test_files_give_back_what_was_written(tmp_path):
    label_map = np.random.default_rng(0).choice([0, 1, 2, 90], SIZE)
    given = masks()
    for name in ('one', 'two'):
        write_regions(str(tmp_path / name), 'sub/a', label_map)
        write_regions(str(tmp_path / name), 'b', given)
    for name in ('sub/a.npz', 'b.json'):
        data = [(tmp_path / d / name).read_bytes() for d in ('one', 'two')]
        assert data[0] == data[1]
    parts = read_regions(str(tmp_path / 'one'), 'sub/a', SIZE)
    for place, number in enumerate([1, 2, 90]):
        own = parts.pixels[parts.numbers == place]
        assert own.tolist() == np.flatnonzero(label_map == number).tolist()
        assert parts.areas[place] == len(own)
    parts = read_regions(str(tmp_path / 'one'), 'b', SIZE)
    assert len(parts.areas) == 4  # the empty one is left out
    for place, mask in enumerate(given[1:]):
        own = parts.pixels[parts.numbers == place]
        assert own.tolist() == np.flatnonzero(mask).tolist()
    # as Segment Anything writes them, and as pycocotools does
    runs = mask_utils.encode(np.asfortranarray(given[1], np.uint8))
    runs['counts'] = runs['counts'].decode()
    plain = dict(size=list(SIZE), counts=[0, 54])
    (tmp_path / 'c.json').write_text(
        json.dumps([dict(segmentation=runs, area=12), plain]))
    parts = read_regions(str(tmp_path), 'c', SIZE)
    assert parts.areas.tolist() == [given[1].sum(), 54]


def test_means_and_paint_against_loops():
    rng = np.random.default_rng(1)
    given = masks(5)[1:]
    maps = rng.random((3, *SIZE)).astype(np.float32)
    regions = Regions.from_masks(SIZE, given)
    means = regions.means(maps)
    values = rng.random((3, 5))
    painted = regions.paint(values)
    for c in range(3):
        for m, mask in enumerate(given):
            assert means[c, m] == pytest.approx(maps[c][mask].mean(), 1e-6)
        for y, x in np.ndindex(SIZE):
            here = [values[c, m] for m in range(5) if given[m][y, x]]
            assert painted[c, y, x] == np.float32(max(here, default=0))
    none = Regions.from_masks(SIZE, [])
    assert none.means(maps).shape == (3, 0)
    assert not none.paint(np.zeros((3, 0))).any()


FULL = dict(size=list(SIZE), counts=[0, 54])


@pytest.mark.parametrize('content, words', [
    (None, ['x.npz', 'no such file', 'make_regions']),
    (dict(regions=np.ones((5, 9), int)), ['x.npz', '(5, 9)', '(6, 9)']),
    (dict(regions=np.ones(SIZE)), ['x.npz', 'float64', 'whole numbers']),
    (dict(other=np.ones(SIZE, int)), ['x.npz', 'not a file of regions']),
    (dict(regions=np.array([{}])), ['x.npz', 'not a file of regions']),
    (b'nothing', ['x.npz', 'not a file of regions']),
    ('[', ['x.json', 'not JSON']),
    ('{}', ['x.json', 'not a list']),
    ([FULL, dict(FULL, size=[9, 6])], ['region 1', '[9, 6]', '[6, 9]']),
    ([dict(FULL, counts=[0, 50])], ['region 0', 'cover the image exactly']),
    ([3], ['x.json', 'region 0', 'no segmentation']),
])
def test_bad_files_are_named(content, words, tmp_path):
    path = tmp_path / 'x.npz'
    if isinstance(content, dict):
        np.savez(path, **content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / 'x.json').write_text(text)
    with pytest.raises(InputError) as caught:
        read_regions(str(tmp_path), 'x', SIZE)
    message = str(caught.value)
    assert '\n' not in message and all(word in message for word in words)


def test_letters_of_a_folder(tmp_path):
    assert regions_supervision(str(tmp_path)) == 'A'
    for letters in ('', 'A'):
        (tmp_path / SETTINGS).write_text(json.dumps(dict(supervision=letters)))
        assert regions_supervision(str(tmp_path)) == letters
    for content in ({}, [], dict(supervision='X'), dict(supervision=['A'])):
        (tmp_path / SETTINGS).write_text(json.dumps(content))
        with pytest.raises(InputError, match=SETTINGS):
            regions_supervision(str(tmp_path))
