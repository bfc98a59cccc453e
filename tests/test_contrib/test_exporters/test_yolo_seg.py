# Copyright (c) group_wsss contributors. All rights reserved.
import os

import cv2
import numpy as np
import pytest
import yaml

from group_wsss.contrib.exporters import export_yolo_seg
from group_wsss.utils.errors import InputError


def read_rows(path, shape):
    """Label and pixels of every row, as a trainer draws them."""
    for row in path.read_text().splitlines():
        label, *values = row.split()
        assert len(values) >= 6 and len(values) % 2 == 0
        line = np.array(values, np.float64).reshape(-1, 2)
        assert ((0 < line) & (line < 1)).all()
        line = (line * (shape[1], shape[0])).astype(np.int32)
        canvas = np.zeros(shape, np.uint8)
        cv2.fillPoly(canvas, [line], 1)
        yield int(label), canvas.astype(bool)


@pytest.mark.parametrize('connectivity', (4, 8))
def test_round_trip(source, tmp_path, connectivity, flood_fill):
    out = tmp_path / 'out'
    counts = export_yolo_seg(source, str(out), connectivity)
    polygons = unknown = 0
    for img_id in source.ids:
        label = source.read_label(img_id)
        found = list(read_rows(out / 'labels' / f'{img_id}.txt', label.shape))
        wanted = flood_fill(label, connectivity)
        assert len(found) == len(wanted)
        canvas = np.zeros_like(label)
        for (value, mask), (true, pixels) in zip(found, wanted):
            assert value == true - 1
            assert set(map(tuple, np.argwhere(mask).tolist())) == pixels
            canvas[mask] = value + 1
        np.testing.assert_array_equal(canvas, np.where(label == 255, 0, label))
        polygons += len(found)
        unknown += (label == 255).sum()
    assert counts == dict(
        images=12, polygons=polygons, dropped=0, unknown_pixels=unknown)
    assert (out / 'labels' / 'd4.txt').read_bytes() == b''


def test_files(source, tmp_path):
    out, images = tmp_path / 'out', tmp_path / 'images'
    source = source._replace(
        known_paths={}, names=('background', 'yes', "it's: a #", 'Bär "x"'))
    for img_id in source.ids:
        path = images / f'{img_id}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    out.mkdir()  # an empty folder will do
    export_yolo_seg(source, str(out), image_dir=str(images), suffix='.png')
    data = yaml.safe_load((out / 'data.yaml').read_text())
    assert data['names'] == dict(enumerate(source.names[1:]))
    assert 'path' not in data
    lines = (out / data['train']).read_text().splitlines()
    assert len(lines) == 12
    for line in lines:
        path = os.path.normpath(out / line)
        assert os.path.isfile(path)
        # what YOLO makes of the path of an image
        name = '/labels/'.join(path.rsplit('/images/', 1))
        assert os.path.isfile(name.rsplit('.', 1)[0] + '.txt')
    with pytest.raises(InputError, match='out: is a folder with something'):
        export_yolo_seg(source, str(out), suffix='.png')
    (images / 'c3.png').unlink()
    with pytest.raises(InputError, match="'c3' .*1 of 12 are missing"):
        export_yolo_seg(
            source,
            str(tmp_path / 'new'),
            image_dir=str(images),
            suffix='.png')
    assert not (tmp_path / 'new').exists()


def test_jobs_do_not_change_a_byte(source, tmp_path, threads):
    for jobs in (1, 2):
        export_yolo_seg(source, str(tmp_path / f'{jobs}'), jobs=jobs)
    one, two = ({
        str(path.relative_to(tmp_path / jobs)): path.read_bytes()
        for path in (tmp_path / jobs).rglob('*') if path.is_file()
    } for jobs in '12')
    assert one == two and len(one) == 14


def test_small_components_are_left_out(source, tmp_path, flood_fill):
    counts = export_yolo_seg(source, str(tmp_path / 'out'), min_area=5)
    sizes = [
        len(pixels) for img_id in source.ids
        for _, pixels in flood_fill(source.read_label(img_id), 8)
    ]
    small = sum(size < 5 for size in sizes)
    assert counts['dropped'] == small > 3
    assert counts['polygons'] == len(sizes) - small


def test_refused(source, tmp_path):
    with pytest.raises(InputError, match="'images' in .*misleads"):
        export_yolo_seg(
            source._replace(ids=['images/1']),
            str(tmp_path / 'out'),
            suffix='.jpg')
    paths = dict(source.known_paths, c3='x/1.jpg', d4='x/1.png')
    with pytest.raises(InputError, match="'c3' and 'd4': YOLO looks .* x/1.t"):
        export_yolo_seg(
            source._replace(known_paths=paths), str(tmp_path / 'out'))
    paths['c3'] = '/elsewhere/c3.jpg'
    with pytest.raises(InputError, match='c3.jpg. lies in no folder of'):
        export_yolo_seg(
            source._replace(known_paths=paths), str(tmp_path / 'out'))
    (tmp_path / 'labels' / 'c3.png').write_bytes(b'GIF89a')
    with pytest.raises(InputError, match='c3.png: cannot be read'):
        export_yolo_seg(source, str(tmp_path / 'out'))
    assert [path.name for path in tmp_path.iterdir()] == ['labels']


def test_what_a_killed_export_left_is_removed(source, tmp_path):
    process = __import__('subprocess').Popen(['true'])
    process.wait()
    dead = tmp_path / f'.out.part-p{process.pid}'
    (dead / 'labels').mkdir(parents=True)
    alive = tmp_path / f'.out.part-p{os.getppid()}'
    other = tmp_path / f'.out2.part-p{process.pid}'
    alive.mkdir()
    other.mkdir()
    export_yolo_seg(source, str(tmp_path / 'out'))
    assert not dead.exists() and alive.exists() and other.exists()
