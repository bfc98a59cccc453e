# Copyright (c) group_wsss contributors. All rights reserved.
import re
import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch

from group_wsss.contrib.exporters import estimate_scores, export_scores
from group_wsss.structures import Dump, ScoreMap
from group_wsss.utils.errors import InputError

NAMES = ('background', 'cat', 'sea lion', 'dog')


@pytest.fixture
def scored(tmp_path):
    """40 images with scores; 7 has no class."""
    rng = np.random.default_rng(0)
    ids = sorted(f's/{i}' for i in range(40))
    for i in range(40):
        classes = [] if i == 7 else [0, 2] if i % 2 else [1]
        maps = rng.random((len(classes), 4 + i, 5), dtype=np.float32)
        ScoreMap(f's/{i}', (16, 20), classes,
                 maps).save(str(tmp_path / f'scores/s/{i}.npz'))
    return Dump(str(tmp_path), ids, NAMES, scores=str(tmp_path / 'scores'))


@pytest.mark.parametrize('size', ('map', 'image'))
@pytest.mark.parametrize('dtype', ('float16', 'uint8'))
def test_content(scored, tmp_path, size, dtype):
    counts = export_scores(scored, str(tmp_path / 'out'), size, dtype)
    total = 0
    for img_id in scored.ids:
        path = tmp_path / f'out/{img_id}.npz'
        total += path.stat().st_size
        found = np.load(path, allow_pickle=False)
        before = ScoreMap.load(f'{scored.scores}/{img_id}.npz')
        wanted = before.maps
        if size == 'image' and len(wanted):
            wanted = torch.nn.functional.interpolate(
                torch.from_numpy(wanted)[None], (16, 20),
                mode='bilinear')[0].numpy()
        elif size == 'image':
            wanted = np.zeros((0, 16, 20))
        assert sorted(found) == ['labels', 'scores', 'size']
        assert found['labels'].tolist() == (before.class_ids + 1).tolist()
        assert found['size'].tolist() == [16, 20]
        scores = found['scores']
        assert scores.dtype == dtype and scores.shape == wanted.shape
        if dtype == 'uint8':
            scores = scores / 255
        np.testing.assert_allclose(
            scores,
            wanted,
            rtol=0,
            atol=.5 / 255 if dtype == 'uint8' else 1e-3)
    assert counts == dict(images=40, bytes=total)


def test_jobs_do_not_change_a_byte(scored, tmp_path, threads):
    for jobs in (1, 2):
        export_scores(scored, str(tmp_path / f'{jobs}'), jobs=jobs)
    for img_id in scored.ids:
        assert ((tmp_path / f'1/{img_id}.npz').read_bytes() == (
            tmp_path / f'2/{img_id}.npz').read_bytes())


def test_estimate_and_a_small_disk(scored, tmp_path, monkeypatch):
    out = tmp_path / 'not' / 'there'
    line = estimate_scores(scored, str(out))
    need, unit, sample = re.match(
        r'scores of 40 images need about (\S+) (\S+) \((\d+) measured\)',
        line).groups()
    # every file is below one block of the disk
    assert (need, unit, sample) == ('163.8', 'kB', '16')
    usage = namedtuple('usage', 'total used free')
    places = []

    def full(place):
        places.append(place)
        return usage(0, 0, 40 * 4096 - 1)

    monkeypatch.setattr(shutil, 'disk_usage', full)
    with pytest.raises(InputError, match='need about .* 163.8 kB are free'):
        estimate_scores(scored, str(out))
    assert places == [str(tmp_path)] and not out.parent.exists()


def test_refused(scored, tmp_path):
    few = scored._replace(names=NAMES[:2])  # s/0 has class 1
    with pytest.raises(InputError, match='0.npz: class id 1 with 1 classes'):
        export_scores(few, str(tmp_path / 'out'))
    (tmp_path / 'scores/s/12.npz').write_bytes(b'PK\x03\x04')
    with pytest.raises(InputError, match='12.npz: not a score map'):
        export_scores(scored, str(tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()
