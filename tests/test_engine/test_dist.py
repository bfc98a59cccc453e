# Copyright (c) group_wsss contributors. All rights reserved.
"""Two processes write, merge and measure what one does."""
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from group_wsss.pseudo_labels import ScoreMap, encode_index_png

WORKER = Path(__file__).with_name('dist_worker.py')


def _start(root, rank, world):
    root.mkdir(exist_ok=True)
    masks = root / 'masks' / 'sub'
    masks.mkdir(parents=True, exist_ok=True)
    for i in range(5):
        mask = np.random.default_rng(i).choice([0, 1, 2, 3, 255],
                                               (8 + 2 * i, 12))
        (masks / f'{i}.png').write_bytes(
            encode_index_png(mask.astype(np.uint8)))
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    env['PYTHONPATH'] = os.pathsep.join(p for p in sys.path if p)
    return subprocess.Popen(
        [sys.executable,
         str(WORKER),
         str(root),
         str(rank),
         str(world)],
        cwd=root,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True)


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    """Folders of a run with one and a run with two processes."""
    base = tmp_path_factory.mktemp('dist')
    jobs = [
        _start(base / '2', 0, 2),
        _start(base / '2', 1, 2),
        _start(base / '1', 0, 1)
    ]
    try:
        for job in jobs:
            output, _ = job.communicate(timeout=120)
            assert job.returncode == 0, output[-3000:]
    finally:
        for job in jobs:
            job.kill()
    return base / '1', base / '2'


def _files(folder, ending):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob(f'*{ending}')
    }


@pytest.mark.parametrize('ending', ('.png', '.npz'))
def test_dumps_are_byte_identical(roots, ending):
    one, two = (_files(root / 'work/pseudo_labels', ending) for root in roots)
    assert one == two and len(one) == 5


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


def test_accumulation_is_the_maximum_over_ranks(roots):
    root = roots[1]
    strong, weak = {}, {}
    anchors = []
    for rank in range(2):
        seen = pickle.loads((root / f'seen{rank}.pkl').read_bytes())
        # 3 images a rank in batches of 2: 2 iterations an epoch, slot 0
        # counts, from epoch 1 on; the last epoch is that of steps 4 and 5
        for step, slot, sample in seen:
            if slot or step < 2:
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
                elif step >= 4:
                    weak[key] = np.maximum(weak.get(key, 0), values)
    assert {rank for rank, _ in anchors} == {0, 1}
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
