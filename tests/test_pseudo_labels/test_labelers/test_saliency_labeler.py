# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
from PIL import Image

from group_wsss.pseudo_labels import Saliency, SaliencyLabeler
from group_wsss.pseudo_labels.saliency import read_saliency
from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError

# flat and steep corners of the rules: saliency around 32, scores around the
# conflict threshold
SALIENCY = (0, 10, 25, 26, 31, 32, 33, 128, 230, 255)


def _by_loops(score_map,
              saliency,
              bg=.35,
              conflict=.9,
              attention=.8,
              evidence=32 / 255,
              min_foreground=.01):
    """The released rules, one pixel at a time."""
    score_map = score_map.resize()
    height, width = score_map.ori_shape
    maps = []
    for values in score_map.maps:
        low, high = values.min(), values.max()
        span = high - low if high > low else np.float32(1)
        maps.append((values - low) / span)
    out = np.zeros((height, width), np.uint8)
    foreground = 0
    for y in range(height):
        for x in range(width):
            if saliency is None:
                s, best = np.float32(0), np.float32(bg)
            else:
                s = np.float32(saliency[y, x]) / np.float32(255)
                best = 1 - s
            label = 0
            strong = int(best > np.float32(conflict))
            known = s
            for class_id, values in zip(score_map.class_ids, maps):
                value = values[y, x]
                if value > best:
                    best, label = value, class_id + 1
                strong += value > np.float32(conflict)
                if value > np.float32(attention):
                    known = np.float32(1)
            if strong > 1:
                label = 255
            if label == 0 and known >= np.float32(evidence):
                label = 255
            out[y, x] = label
            foreground += 0 < label < 255
    if foreground / out.size < min_foreground:
        out[:] = 255
    return out


def _case(seed, n, flat=False):
    rng = np.random.default_rng(seed)
    # stretched to the whole of [0, 1] they are tenths
    maps = rng.integers(5, 16, (n, 8, 10)).astype(np.float32) / 20
    if n and flat:
        maps[0] = .5
    saliency = rng.choice(SALIENCY, (8, 10)).astype(np.uint8)
    return ScoreMap('a/x', (8, 10), rng.permutation(20)[:n], maps), saliency


@pytest.mark.parametrize('seed', [0, 3])
@pytest.mark.parametrize('n', (0, 1, 3))
@pytest.mark.parametrize('options', [
    dict(),
    dict(conflict_threshold=.7),
    dict(conflict_threshold=None),
    dict(evidence_threshold=None),
    dict(attention_threshold=.5),
    dict(evidence_threshold=.2),
    dict(min_foreground=.5)
])
def test_with_saliency_against_loops(seed, n, options, tmp_path):
    score_map, saliency = _case(seed, n, flat=seed == 3)
    (tmp_path / 'a').mkdir()
    Image.fromarray(saliency).save(tmp_path / 'a' / 'x.png')
    got = SaliencyLabeler(str(tmp_path), **options)(score_map)
    short = {
        key.replace('_threshold', ''): np.inf if value is None else value
        for key, value in options.items()
    }
    np.testing.assert_array_equal(got, _by_loops(score_map, saliency, **short))


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('bg', (.2, .35, .95))
def test_without_saliency_against_loops(seed, bg):
    score_map, _ = _case(seed, 3)
    got = SaliencyLabeler(bg_threshold=bg)(score_map)
    np.testing.assert_array_equal(got, _by_loops(score_map, None, bg))
    if bg == .95:  # a strong map under an even stronger background
        assert (got == 255).any()


def test_bad_saliency_is_named(tmp_path):
    score_map = ScoreMap('x', (4, 6), [1], np.ones((1, 4, 6), np.float32))
    for pixels, message in ((None, 'no such file'), (np.zeros(
        (6, 4), np.uint8), r'6, 4\).*\(4, 6'), (np.zeros(
            (4, 6), np.uint16), 'not mode')):
        if pixels is not None:
            Image.fromarray(pixels).save(tmp_path / 'x.png')
        for step in (SaliencyLabeler, Saliency):
            with pytest.raises(InputError, match=f'x.png: .*{message}'):
                step(str(tmp_path))(score_map)
    rgb = np.full((4, 6, 3), 255, np.uint8)
    Image.fromarray(rgb).save(tmp_path / 'x.png')
    assert (read_saliency(str(tmp_path), score_map) == 1).all()
