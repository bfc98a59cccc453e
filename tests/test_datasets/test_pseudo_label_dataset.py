# Copyright (c) group_wsss contributors. All rights reserved.
import json

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from group_wsss.structures import DumpWriter
from group_wsss.utils.errors import InputError

PALETTE = [[0, 0, 0], [10, 20, 30], [40, 50, 60]]
LABELS = {'a b': np.full((4, 6), 1, np.uint8), 'x/c': np.eye(4, dtype='u1')}


@pytest.fixture
def root(tmp_path):
    """Images in two folders, an image list and a dump."""
    writer = DumpWriter(str(tmp_path / 'dump'), ['cat', 'wet dog'], PALETTE)
    paths = {'a b': 'one/a b.jpg', 'x/c': 'two/c.png'}
    for img_id, label in LABELS.items():
        writer.write(img_id, label)
        path = tmp_path / 'photos' / paths[img_id]
        path.parent.mkdir(parents=True)
        Image.new('RGB', label.shape[::-1], (9, 9, 9)).save(path)
    writer.finish()
    images = [dict(id=key, path=paths[key], labels=[1]) for key in LABELS]
    (tmp_path / 'photos/labels.json').write_text(
        json.dumps(dict(classes=['cat', 'wet dog'], images=images)))
    return tmp_path


def config(root, **changes):
    return dict(
        dict(
            type='group_wsss.PseudoLabelDataset',
            data_root=str(root / 'photos'),
            ann_file='labels.json',
            data_prefix=dict(img_path='', seg_map_path=str(root / 'dump')),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', imdecode_backend='pillow'),
                dict(type='PackSegInputs')
            ]), **changes)


def build(root, **changes):
    import mmseg.datasets  # noqa: F401
    with DefaultScope.overwrite_default_scope('mmseg'):
        return DATASETS.build(config(root, **changes))


def test_names_colours_and_labels_come_from_the_dump(root):
    dataset = build(root)
    assert dataset.metainfo['classes'] == ('background', 'cat', 'wet dog')
    assert dataset.metainfo['palette'] == PALETTE
    assert len(dataset) == 2
    for item, (img_id, label) in zip(dataset, LABELS.items()):
        sample = item['data_samples']
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0], label)
        assert item['inputs'].shape == (3, *label.shape)
        assert sample.seg_map_path == str(root / f'dump/{img_id}.png')


def test_masks_with_the_manifest_of_the_dump(root):
    (root / 'dump').rename(root / 'photos' / 'masks')
    manifest = root / 'manifest.json'
    (root / 'photos/masks/manifest.json').rename(manifest)
    prefix = dict(img_path='', seg_map_path='masks')
    dataset = build(root, data_prefix=prefix, manifest=str(manifest))
    assert dataset.metainfo['classes'][2] == 'wet dog'
    with pytest.raises(InputError, match='masks/manifest.json: no such file'):
        build(root, data_prefix=prefix)


def test_list_of_ids(root):
    for img_id in LABELS:
        name = img_id.replace(' ', '')
        (root / f'dump/{img_id}.png').rename(root / f'dump/{name}.png')
    for path in (root / 'ids.txt', root / 'dump/ids.txt'):
        path.write_text('ab\nx/c\n')
    dataset = build(
        root,
        ann_file=str(root / 'ids.txt'),
        img_suffix='.webp',
        check_files=False)
    info = dataset.get_data_info(0)
    assert info['img_path'] == str(root / 'photos/ab.webp')
    assert info['seg_map_path'] == str(root / 'dump/ab.png')


def test_ids_and_paths_of_the_dump(root):
    writer = DumpWriter(str(root / 'dump'), ['cat', 'wet dog'], PALETTE)
    for img_id, label in LABELS.items():
        writer.write(img_id, label)
    paths = {'a b': 'one/a b.jpg', 'x/c': 'two/c.png'}
    writer.finish(image_paths=paths)
    dataset = build(root, ann_file=str(root / 'dump/ids.txt'))
    assert [dataset.get_data_info(i)['img_path'] for i in range(2)
            ] == [str(root / 'photos' / path) for path in paths.values()]


def test_names_that_differ(root):
    path = root / 'photos/labels.json'
    path.write_text(path.read_text().replace('wet dog', 'dog'))
    with pytest.raises(
            InputError, match='labels.json differ .*dump/manifest.json'):
        build(root)
    with pytest.raises(InputError, match='metainfo.classes differ .*manifest'):
        build(root, metainfo=dict(classes=['background', 'x', 'y']))


def test_files_that_are_missing(root):
    (root / 'dump/x/c.png').unlink()
    with pytest.raises(
            InputError, match=r'x/c.png: no such label image \(1 of 2 in '):
        build(root)
    (root / 'photos/two/c.png').unlink()
    with pytest.raises(InputError, match='c.png: no such image'):
        build(root)
    assert len(build(root, check_files=False)) == 2


def test_a_label_that_an_older_dump_left(root):
    (root / 'dump/ids.txt').write_text('a b\n')
    with pytest.raises(InputError, match='dump/ids.txt: 1 of 2 .*\'x/c\''):
        build(root)
