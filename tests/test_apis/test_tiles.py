# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest
import torch

from group_wsss.apis import GroupCAMInferencer
from group_wsss.apis.images import InputImage
from group_wsss.apis.tiles import merge_tiles, tile_boxes
from group_wsss.datasets import load_image
from group_wsss.utils.errors import InputError
from .conftest import CONFIG, NUM_IMAGES, tags_of

TAGS = [tags_of(i) for i in range(NUM_IMAGES)]


def build(weights, **options):
    return GroupCAMInferencer(
        str(CONFIG), str(weights), show_progress=False, **options)


@pytest.mark.parametrize('shape, tile', [((70, 101), 32), ((10, 300), 64),
                                         ((33, 57), 32), ((9, 9), 1)])
def test_boxes_cover_the_image(shape, tile):
    seen = np.zeros(shape, int)
    boxes = tile_boxes(shape, tile)
    for top, left, bottom, right in boxes:
        assert (bottom - top, right - left) == (min(shape[0],
                                                    tile), min(shape[1], tile))
        seen[top:bottom, left:right] += 1
    assert seen.min() == 1 and len(set(boxes)) == len(boxes)
    for (_, left, _, right), (_, after, _, _) in zip(boxes, boxes[1:]):
        assert after < left or right - after >= tile // 4


def test_merged_maps_are_means_where_tiles_overlap():
    boxes = tile_boxes((8, 20), 8)  # columns 0..8, 6..14, 12..20
    assert [box[1] for box in boxes] == [0, 6, 12]
    maps = [torch.full((2, 2, 2), float(i)) for i in (1, 4, 9)]
    maps[0][1] = 0
    got = merge_tiles(maps, boxes, (8, 20))  # a cell for each pixel
    assert got.shape == (2, 8, 20)
    for x in range(20):
        hit = [i for i, box in enumerate(boxes) if box[1] <= x < box[3]]
        for one in range(2):
            want = np.mean([maps[i][one, 0, 0] for i in hit])
            np.testing.assert_allclose(got[one, :, x], want, rtol=1e-6)


@pytest.mark.parametrize('tta', (False, True))
def test_a_tile_that_covers_the_image_changes_no_byte(weights, photo_root,
                                                      tmp_path, tta):
    options = dict(reference=str(photo_root / 'list.txt'), group_size=3)
    options['reference_root'] = str(photo_root / 'JPEGImages')
    files = []
    for name, tile in (('whole', None), ('tiled', 99)):
        build(
            weights, tta=tta, tile=tile, **options)(
                str(photo_root / 'JPEGImages'),
                tags=TAGS,
                out_dir=str(tmp_path / name),
                keep_scores=True)
        files.append({
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob('*')
            if path.is_file() and path.name != 'manifest.json'
        })
        text = (tmp_path / name / 'manifest.json').read_text()
        assert ('tile=99'
                in json.loads(text)['config'].replace(' ', '')) == bool(tile)
    assert files[0] == files[1] and len(files[0]) > 3 * NUM_IMAGES


def test_tiles_against_each_tile_alone(weights, photo_root):
    """Each tile is predicted like an image of its own, with the tags."""
    image = load_image(str(photo_root / 'JPEGImages' / 'n1.jpg'))[:, :, ::-1]
    whole, = build(weights, tile=32)(image, tags=TAGS[1])
    boxes = tile_boxes(image.shape[:2], 32)
    assert len(boxes) > 4
    alone = build(weights)
    raw = [
        next(
            alone._samples([InputImage('image_00000', image[t:b, le:r])], 1,
                           '', [TAGS[1]])) for t, le, b, r in boxes
    ]
    maps = merge_tiles([s.class_maps for s in raw], boxes, image.shape[:2])
    maps = maps / maps.amax((1, 2), keepdim=True)
    np.testing.assert_array_equal(whole['score_map'].maps, maps.numpy())
    assert whole['label'].shape == image.shape[:2]
    assert whole['tags'] == [alone.classes[i] for i in TAGS[1]]
    scores = torch.stack([s.pred_score for s in raw]).amax(0)
    assert list(whole['scores'].values()) == scores.tolist()


def test_bad_tile(weights):
    with pytest.raises(InputError, match='tile is 0, must be >= 1'):
        build(weights, tile=0)
