# Copyright (c) group_wsss contributors. All rights reserved.
import shutil
from collections import namedtuple

import numpy as np
import pytest

from group_wsss.pseudo_labels import LabelDump, ThresholdLabeler
from group_wsss.pseudo_labels.score_size import (SAMPLE, ScoreSize,
                                                 human_bytes, score_disk)
from group_wsss.structures import DumpWriter, ScoreMap
from group_wsss.utils.errors import InputError


@pytest.mark.parametrize('count, text',
                         [(0, '0 B'), (999, '999 B'), (1000, '1.0 kB'),
                          (999949, '999.9 kB'), (999960, '1.0 MB'),
                          (3.21e9, '3.2 GB'), (5.5e15, '5500.0 TB')])
def test_human_bytes(count, text):
    assert human_bytes(count) == text


@pytest.mark.parametrize('bg_threshold', (.5, 'otsu'))
@pytest.mark.parametrize('keep', (True, False))
def test_what_a_dump_stores(tmp_path, bg_threshold, keep, monkeypatch):
    rng = np.random.default_rng(0)
    dump = LabelDump(
        DumpWriter(str(tmp_path), ['cat']),
        ThresholdLabeler(bg_threshold),
        keep_scores=keep)
    images = 2 * SAMPLE + 1
    size = ScoreSize(dump, images)
    copies = keep + (bg_threshold == 'otsu')
    lines, blocks = [], 0
    monkeypatch.setattr(shutil, 'disk_usage',
                        lambda _: namedtuple('usage', 'free')(7e6))
    for i in range(images):
        dump.take(ScoreMap(f'{i}', (90, 90), [0], rng.random((1, 40 + i, 50))))
        # before the scores of all are there, a map is stored once
        folder = 'waiting' if bg_threshold == 'otsu' else 'scores'
        path = tmp_path / '.unfinished' / folder / f'{i}.npz'
        stored = path.stat().st_size if copies else 0
        assert dump.stored_bytes(f'{i}') == stored
        lines.append(size.measure(f'{i}'))
        blocks += -(-stored // 4096) if i < SAMPLE else 0
    line = lines.pop(SAMPLE - 1)
    assert lines == [None] * (images - 1)
    need = human_bytes(4096 * blocks / SAMPLE * images * copies)
    assert line == (f'scores of {images} images need about {need} ({SAMPLE} '
                    'measured), 7.0 MB are free' if copies else None)


def test_a_small_disk(tmp_path, monkeypatch):
    sizes = [4096, 4097]  # blocks: 1 and 2
    free = namedtuple('usage', 'free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: free(1.5 * 4096 * 20))
    assert '122.9 kB are free' in score_disk(str(tmp_path / 'x'), sizes, 10, 2)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: free(122879))
    with pytest.raises(InputError, match='x: scores of 10 images need about'):
        score_disk(str(tmp_path / 'x'), sizes, 10, 2)
