# Copyright (c) group_wsss contributors. All rights reserved.
"""What benchmarks/dress_rehearsal.py is made of."""
import importlib
import os
import signal
from pathlib import Path

import pytest

from group_wsss.datasets import CocoImageLevel, VOCImageLevel
from group_wsss.utils.errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / 'benchmarks'


@pytest.fixture
def part(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_layouts(part, tmp_path):
    """Every name is there, with its tags, and few images are."""
    data = part('rehearsal_data')
    tags = tmp_path / 'list.txt'
    tags.write_text(''.join(f'2007_{i:06d} {i % 20} \n' for i in range(400)))
    data.write_voc(str(tmp_path / 'voc'), str(tags), 350)
    voc = VOCImageLevel(
        'ImageSets/Segmentation/trainaug_cls.txt',
        data_root=str(tmp_path / 'voc'),
        data_prefix='JPEGImages')
    assert len(voc) == 350 and voc.get_cat_ids(21) == [1]
    files = list((tmp_path / 'voc/JPEGImages').iterdir())
    assert len({os.stat(path).st_ino for path in files}) == data.DISTINCT
    data.write_coco(str(tmp_path / 'coco'), 5)
    coco = CocoImageLevel(
        'annotations/instances_val2014.json',
        data_root=str(tmp_path / 'coco'),
        data_prefix='val2014')
    assert len(coco) == 5 and len(coco.metainfo['classes']) == 80


def test_phases(part, tmp_path, monkeypatch):
    """A phase has its own figures, and a child of a child counts."""
    watch = part('rehearsal_watch').Watch(str(tmp_path / 'work'), {})
    monkeypatch.setattr(part('rehearsal_watch'), 'PHASES', dict(busy='begin'))
    child = 'b = b"x" * (64 << 20)\nwhile 1: b.count(1)'
    code = ('import subprocess as s, sys, time; time.sleep(1.5); '
            f'print("begin", flush=True); s.run([sys.executable, "-c", '
            f'{child!r}])')
    calls = []

    def stop(text):
        calls.append('begin' in text)
        return signal.SIGKILL if sum(calls) > 3 else 0

    assert watch.run(['-c', code], stop)
    found = watch.figures()
    assert found['start']['times'] == 1 and found['start']['cpu'] < 1
    assert found['busy']['cpu'] > 0 and found['busy']['processes'] == 2
    assert found['busy']['pss_mb'] > 64
    with pytest.raises(InputError, match='status 3'):
        watch.run(['-c', 'raise SystemExit(3)'])


def test_stops(part):
    rehearsal = part('dress_rehearsal')
    stop = rehearsal.trained(.5)
    assert not stop('Epoch(train) [1][ 40/100] loss: 1\n')
    assert stop('Epoch(train)  [1][ 50/100] loss: 1\n') == signal.SIGTERM
    assert stop('Iter(train) [ 60/100] loss: 1\n') == signal.SIGTERM
    assert not stop('Epoch(val) [1][100/100]\n')
