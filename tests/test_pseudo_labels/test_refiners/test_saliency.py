# Copyright (c) group_wsss contributors. All rights reserved.
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from group_wsss.pseudo_labels import Saliency
from group_wsss.structures import ScoreMap
from group_wsss.structures.label_image import read_index_png
from group_wsss.utils.errors import InputError

REFINE = Path(__file__).resolve().parents[3] / 'configs' / 'refine'


@pytest.mark.parametrize('size', [(9, 8), (3, 4)])
@pytest.mark.parametrize('n, weight', [(1, .5), (3, .5), (2, .3)])
def test_mean_against_loops(n, weight, size, tmp_path):
    rng = np.random.default_rng(0)
    saliency = rng.integers(0, 256, (9, 8)).astype(np.uint8)
    Image.fromarray(saliency).save(tmp_path / 'x_s.png')
    given = ScoreMap('x', (9, 8), range(n), rng.random((n, *size), np.float32))
    options = {} if weight == .5 else dict(weight=weight)
    got = Saliency(str(tmp_path), '_s.png', **options)(given)
    large = given.resize().maps
    for c, y, x in np.ndindex(n, 9, 8):
        want = (1 - weight) * large[c, y, x] + weight * saliency[y, x] / 255
        assert got.maps[c, y, x] == pytest.approx(want, abs=1e-6)
    fused = Saliency(
        'unused', weight=weight).refine(given.maps,
                                        np.float32(saliency) / 255)
    np.testing.assert_array_equal(fused, got.maps)


def test_refine_wants_saliency():
    maps = np.ones((1, 4, 6), np.float32)
    for wrong in (None, np.zeros((4, 6), np.uint8), np.zeros((4, 6, 3))):
        with pytest.raises(InputError, match='ScoreMap'):
            Saliency('unused').refine(maps, wrong)


def test_every_dump_behind_saliency_says_so(tmp_path, call_tool, monkeypatch):
    """The letter stays when a later step knows nothing of saliency."""
    monkeypatch.setenv('SALIENCY_DIR', str(tmp_path / 'saliency'))
    for folder in ('scores', 'saliency'):
        (tmp_path / folder).mkdir()
    maps = np.zeros((1, 6, 6), np.float32)
    maps[0, :4] = .6
    ScoreMap('c', (6, 6), [2], maps).save(str(tmp_path / 'scores' / 'c.npz'))
    saliency = np.zeros((6, 6), np.uint8)
    saliency[2:] = 255
    Image.fromarray(saliency).save(tmp_path / 'saliency' / 'c.png')

    def refine(name, source):
        call_tool('refine_labels', REFINE / f'{name}.py', tmp_path / source,
                  tmp_path / f'{source}-{name}', '--classes', 'voc',
                  '--keep-scores')
        out = tmp_path / f'{source}-{name}'
        manifest = json.loads((out / 'manifest.json').read_text())
        label = read_index_png(str(out / 'c.png'))
        return ''.join(manifest['supervision']), label[:, 0].tolist()

    assert refine('threshold', 'scores') == ('I', [3] * 4 + [0] * 2)
    # rows of a map alone are unknown; those that are salient alone are not
    assert refine('saliency_released', 'scores')[0] == 'IS'
    means = refine('saliency', 'scores')
    assert means[0] == 'IS' and means[1][2:4] == [3, 3]
    assert refine('threshold', 'scores-saliency') == means
