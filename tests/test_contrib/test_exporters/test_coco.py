# Copyright (c) group_wsss contributors. All rights reserved.
import json
from functools import partial

import numpy as np
import pytest
from pycocotools.coco import COCO

from group_wsss.contrib.exporters import (export_coco_instances,
                                          export_coco_semantic)
from group_wsss.utils.errors import InputError

BOTH = (export_coco_instances, export_coco_semantic)


@pytest.fixture
def load(tmp_path, capsys):
    """Export and open with pycocotools."""

    def run(export, source, **options):
        out = tmp_path / 'out.json'
        counts = export(source, str(out), **options)
        coco = COCO(str(out))
        assert len(coco.imgs) == counts['images'] == len(source.ids)
        assert len(coco.anns) == counts['annotations']
        # the evaluation of pycocotools takes id 0 for "no match"
        assert sorted(coco.anns) == list(range(1, len(coco.anns) + 1))
        return coco, counts

    return run


def paint(coco, image):
    """Label image of the annotations."""
    canvas = np.zeros((image['height'], image['width']), np.uint8)
    for ann in coco.loadAnns(coco.getAnnIds(image['id'])):
        mask = coco.annToMask(ann).astype(bool)
        value = 255 if ann['iscrowd'] else ann['category_id']
        # nothing is painted twice, but for copies of an ignore region
        assert set(np.unique(canvas[mask])) <= {0, 255} & {0, value}
        canvas[mask] = value
        rows, columns = np.nonzero(mask)
        assert ann['area'] == mask.sum()
        assert ann['bbox'] == [
            columns.min(),
            rows.min(),
            np.ptp(columns) + 1,
            np.ptp(rows) + 1
        ]
    return canvas


@pytest.mark.parametrize('export', BOTH)
def test_round_trip(source, load, export):
    coco, counts = load(export, source)
    exact, _ = load(export, source, unknown='ignore')
    unknown = 0
    for img_id, image in zip(source.ids, coco.loadImgs(coco.getImgIds())):
        assert image['file_name'] == img_id + '.jpg'
        label = source.read_label(img_id)
        np.testing.assert_array_equal(paint(exact, image), label)
        unknown += (label == 255).sum()
        np.testing.assert_array_equal(
            paint(coco, image), np.where(label == 255, 0, label))
    assert counts['unknown_pixels'] == unknown > 0
    assert not any(ann['iscrowd'] for ann in coco.anns.values())
    names = [(cat['id'], cat['name']) for cat in coco.cats.values()]
    assert names == list(enumerate(source.names))[1:]


@pytest.mark.parametrize('connectivity, area', [(4, 1), (8, 1), (8, 5)])
def test_instances_are_components(source, load, flood_fill, connectivity,
                                  area):
    coco, counts = load(
        export_coco_instances,
        source,
        connectivity=connectivity,
        min_area=area)
    dropped = 0
    for number, img_id in enumerate(source.ids, 1):
        wanted = flood_fill(source.read_label(img_id), connectivity)
        kept = [item for item in wanted if len(item[1]) >= area]
        dropped += len(wanted) - len(kept)
        found = [(ann['category_id'],
                  set(map(tuple,
                          np.argwhere(coco.annToMask(ann)).tolist())))
                 for ann in coco.loadAnns(coco.getAnnIds(number))]
        assert found == kept
    assert counts['dropped'] == dropped and (dropped > 5) == (area > 1)


def test_semantic_has_one_annotation_for_a_class(source, load):
    coco, _ = load(export_coco_semantic, source)
    for number, img_id in enumerate(source.ids, 1):
        anns = coco.loadAnns(coco.getAnnIds(number))
        label = source.read_label(img_id)
        assert [ann['category_id'] for ann in anns
                ] == np.unique(label[(label > 0) & (label < 255)]).tolist()


def test_classes_of_ignore_regions(source, load):
    ids = {img_id: i for i, img_id in enumerate(source.ids, 1)}

    def crowds(coco, img_id):
        return [
            ann['category_id']
            for ann in coco.loadAnns(coco.getAnnIds(ids[img_id]))
            if ann['iscrowd']
        ]

    coco, counts = load(export_coco_semantic, source, unknown='ignore')
    assert crowds(coco, 'c3') == [1, 2, 3]
    assert crowds(coco, 'e5') == [1, 2, 3]  # no class: any may be there
    assert crowds(coco, 'd4') == crowds(coco, 'f6') == []  # nothing unknown
    crowd = sum(ann['iscrowd'] for ann in coco.anns.values())
    assert counts['ignore_regions'] == crowd
    tags = dict.fromkeys(source.ids, (2, )) | {'c3': (3, 1)}
    coco, _ = load(
        export_coco_instances, source._replace(tags=tags), unknown='ignore')
    assert crowds(coco, 'c3') == [1, 3]
    assert crowds(coco, 'e5') == [2]


def test_what_mmdet_reads(source, tmp_path):
    """Fields of CocoDataset.parse_data_info and LoadAnnotations."""
    out = tmp_path / 'out.json'
    export_coco_instances(
        source._replace(known_paths={}), str(out), suffix='.png')
    data = json.loads(out.read_text())
    sizes = {row['id']: [row['height'], row['width']]
             for row in data['images']}  # yapf: disable
    assert {row['file_name'][-4:] for row in data['images']} == {'.png'}
    for ann in data['annotations']:
        # iscrowd=1 would make it an ignored box
        assert ann['iscrowd'] == 0
        # bytes are no JSON; with poly2mask=True a str is decoded
        assert isinstance(ann['segmentation']['counts'], str)
        assert ann['segmentation']['size'] == sizes[ann['image_id']]


@pytest.mark.parametrize('export', BOTH)
def test_jobs_do_not_change_a_byte(export, source, tmp_path, threads):
    seen = []
    export(source, str(tmp_path / '1'), progress=lambda *at: seen.append(at))
    export(source, str(tmp_path / '2'), jobs=2)
    assert (tmp_path / '1').read_bytes() == (tmp_path / '2').read_bytes()
    assert seen == [(8, 12), (12, 12)]


def test_numeric_ids(source, tmp_path):
    export = partial(
        export_coco_semantic,
        out=str(tmp_path / 'x'),
        numeric_ids=True,
        suffix='.jpg')
    export(source._replace(known_paths={}, ids=['b/1', 'c3', 'f6', 'g10']))
    rows = json.loads((tmp_path / 'x').read_text())
    assert [row['id'] for row in rows['images']] == [1, 3, 6, 10]
    assert {ann['image_id'] for ann in rows['annotations']} == {1, 3, 6, 10}
    with pytest.raises(InputError, match="'x/1' and 'b/1' end in the same"):
        export(source._replace(known_paths={}, ids=['x/1', 'b/1']))
    with pytest.raises(InputError, match="'cat': does not end in a number"):
        export(source._replace(known_paths={}, ids=['cat']))


def test_a_damaged_image_leaves_the_old_file(source, tmp_path, threads):
    out = tmp_path / 'out.json'
    out.write_text('old')
    broken = tmp_path / 'labels' / 'g15.png'
    data = broken.read_bytes()
    for jobs, content in ((1, data[:40]), (2, b'')):
        broken.write_bytes(content)
        with pytest.raises(InputError, match='g15.png: cannot be read'):
            export_coco_semantic(source, str(out), jobs=jobs)
    broken.unlink()
    with pytest.raises(InputError, match='g15.png: no such file'):
        export_coco_semantic(source, str(out))
    assert out.read_text() == 'old'
    assert {path.name for path in tmp_path.iterdir()} == {'labels', 'out.json'}


@pytest.mark.parametrize('suffix', ('jpg', '.', './x', '.j\n', ''))
def test_bad_suffix(source, tmp_path, suffix):
    with pytest.raises(InputError, match='is not the ending'):
        export_coco_semantic(source, str(tmp_path / 'x'), suffix=suffix)


def test_without_pycocotools(source, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'pycocotools', None)
    with pytest.raises(InputError, match='optional.txt'):
        export_coco_semantic(source, str(tmp_path / 'x'))
    assert not (tmp_path / 'x').exists()
