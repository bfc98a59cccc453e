# Copyright (c) group_wsss contributors. All rights reserved.
"""Several processes write, merge and measure what one does."""
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from group_wsss.structures import ScoreMap, encode_index_png

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name('dist_worker.py')

WORLDS = (1, 2, 4)


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    """Folders of runs with one, two and four processes."""
    base = tmp_path_factory.mktemp('dist')
    for world in WORLDS:
        masks = base / str(world) / 'masks' / 'sub'
        masks.mkdir(parents=True)
        for i in range(5):
            mask = np.random.default_rng(i).choice([0, 1, 2, 3, 255],
                                                   (8 + 2 * i, 12))
            (masks / f'{i}.png').write_bytes(
                encode_index_png(mask.astype(np.uint8)))
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    env['PYTHONPATH'] = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable,
         str(WORKER),
         str(base), *map(str, WORLDS)],
        cwd=base,
        env=env,
        capture_output=True,
        text=True,
        timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return base


@pytest.fixture(params=WORLDS[1:])
def world(request):
    return request.param


@pytest.fixture
def roots(base, world):
    """A run with one process, and one with several."""
    return base / '1', base / str(world)


def _files(folder, ending):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob(f'*{ending}')
    }


@pytest.mark.parametrize('ending', ('.png', '.npz'))
def test_dumps_are_byte_identical(roots, ending):
    one, many = (_files(root / 'work/pseudo_labels', ending) for root in roots)
    assert one == many and len(one) == 5


def test_manifest_counts_a_repeated_image_once(roots):
    one, two = (
        json.loads((root / 'work/pseudo_labels/manifest.json').read_text())
        for root in roots)
    assert one['images'] == two['images'] == 5
    assert one['pixels'] == two['pixels']
    assert one['unknown_pixels'] == two['unknown_pixels']
    assert one['chosen_thresholds'] == two['chosen_thresholds']
    assert len(one['chosen_thresholds']) == 1


def test_metric_is_the_same(roots):
    one, two = (
        json.loads((root / 'metrics.json').read_text()) for root in roots)
    assert one == two and 0 < one['cam/mIoU'] < 100
    assert 'cam/mIoU_min2' in one


def test_accumulation_is_the_maximum_over_ranks(roots, world):
    root = roots[1]
    strong, weak = {}, {}
    anchors = []
    images = -(-5 // world)  # of a rank, in an epoch
    steps = -(-images // 2)
    for rank in range(world):
        seen = pickle.loads((root / f'seen{rank}.pkl').read_bytes())
        # batches of 2, slot 0 counts, from epoch 1 on; weak maps count in
        # the last of the three epochs
        for step, slot, sample in seen:
            if slot or step < steps:
                continue
            anchors.append((rank, sample.img_id))
            for class_id, values in zip(sample.class_ids, sample.class_maps):
                values = values.numpy() / values.numpy().max()
                direction = sample.flip_direction or ''
                if direction in ('vertical', 'diagonal'):
                    values = values[::-1]
                if direction in ('horizontal', 'diagonal'):
                    values = values[:, ::-1]
                key = sample.img_id, int(class_id)
                if sample.pred_score[class_id] >= .1:
                    strong[key] = np.maximum(strong.get(key, 0), values)
                elif step >= 2 * steps:
                    weak[key] = np.maximum(weak.get(key, 0), values)
    assert {rank for rank, _ in anchors} == set(range(world))
    expected = {**weak, **strong}
    merged = root / 'work/attention/merged'
    got = {}
    for path in merged.rglob('*.npz'):
        score_map = ScoreMap.load(str(path))
        for class_id, values in zip(score_map.class_ids, score_map.maps):
            got[score_map.img_id, int(class_id)] = values
    assert got.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(got[key], values.astype(np.float16))
    labels = _files(root / 'work/pseudo_labels_accumulated', '.png')
    assert len(labels) == len({img_id for img_id, _ in expected})
    manifest = json.loads(
        (root / 'work/pseudo_labels_accumulated/manifest.json').read_text())
    assert manifest['images'] == len(labels)
