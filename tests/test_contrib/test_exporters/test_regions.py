# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from group_wsss.contrib.exporters.regions import connected_regions, region_runs


@pytest.mark.parametrize('connectivity', (4, 8))
def test_components_against_a_flood_fill(source, connectivity, flood_fill):
    total = 0
    for img_id in source.ids:
        label = source.read(img_id)
        index, labels = connected_regions(label, connectivity)
        wanted = flood_fill(label, connectivity)
        assert labels == [value for value, _ in wanted]
        for number, (_, pixels) in enumerate(wanted, 1):
            assert set(
                zip(*map(np.ndarray.tolist, np.nonzero(
                    index == number)))) == pixels
        assert index.max() == len(wanted)
        total += len(wanted)
    assert total > 100


def test_diagonal_pixels():
    label = np.array([[1, 0], [0, 1]], np.uint8)
    assert connected_regions(label, 8)[1] == [1]
    assert connected_regions(label, 4)[1] == [1, 1]


def test_runs_against_pycocotools(source):
    for img_id in source.ids:
        label = source.read(img_id)
        found = region_runs(label)
        values = np.unique(label[label > 0]).tolist()
        assert list(found) == values
        for value in values:
            mask = np.asfortranarray(label == value, dtype=np.uint8)
            wanted = coco_mask.encode(mask)
            region = found[value]
            runs = dict(size=list(mask.shape), counts=region.counts.tolist())
            assert coco_mask.frPyObjects(runs, *mask.shape) == wanted
            assert region.area == int(coco_mask.area(wanted)) == mask.sum()
            rows, columns = np.nonzero(mask)
            box = (columns.min(), rows.min(), np.ptp(columns) + 1,
                   np.ptp(rows) + 1)
            assert region.box == box
            assert list(region.box) == coco_mask.toBbox(wanted).tolist()
            assert all(type(side) is int for side in region.box)


def test_no_region():
    assert region_runs(np.zeros((3, 4), np.int32)) == {}
    index, labels = connected_regions(np.full((3, 4), 255, np.uint8))
    assert labels == [] and not index.any()
