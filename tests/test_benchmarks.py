# Copyright (c) group_wsss contributors. All rights reserved.
"""Every benchmark starts."""
import importlib
import json
import os
import shutil
import signal
import threading
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from group_wsss.datasets import CocoImageLevel, VOCImageLevel, generate_toy
from group_wsss.utils.errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / 'benchmarks'


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    """The scripts import each other by name."""
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.mark.parametrize('name',
                         sorted(path.stem for path in FOLDER.glob('*.py')))
def test_start(name, monkeypatch, capsys):
    if name == 'dense_crf_reference':
        pytest.importorskip('pydensecrf')
    module = importlib.import_module(name)
    if hasattr(module, 'parse_args'):
        monkeypatch.setattr('sys.argv', [name, '--help'])
        with pytest.raises(SystemExit) as caught:
            module.parse_args()
        assert not caught.value.code and '--' in capsys.readouterr().out


def test_results_go_on(tmp_path, monkeypatch, capsys):
    results = importlib.import_module('results')
    path = str(tmp_path / 'new' / 'rows.json')
    results.Results(path).add(dict(row='a', seed=0, mIoU=1.))
    found = results.Results(path)
    assert found.has('a', 0) and not found.has('a', 1)
    found.add(dict(row='a', seed=1, mIoU=2.), dict(row='b', seed=0))
    results.print_table(results.Results(path).rows, ['mIoU'])
    assert capsys.readouterr().out.splitlines()[2:] == [
        '| a | 2 | 1.50 (1.00 to 2.00) |', '| b | 1 |  |'
    ]
    monkeypatch.setenv('TRAIN_LIST', 'lists/x.txt')
    monkeypatch.delenv('DATA_ROOT', raising=False)
    assert results.data_of('DATA_ROOT', 'TRAIN_LIST') == 'x.txt'
    with pytest.raises(InputError, match='set DATA_ROOT, see configs/'):
        results.need('TRAIN_LIST', 'DATA_ROOT')
    monkeypatch.setattr(results, 'git', lambda *words: words[0][:2])
    assert results.commit() == 're+'


def test_steps_of_the_recipe(monkeypatch):
    """What makes a row is among the steps, and each step's source is."""
    recipe = importlib.import_module('recipe')
    for key in ('REGIONS_DIR', 'SALIENCY_DIR'):
        monkeypatch.setenv(key, key)
    names = []
    for step in recipe.label_steps('IMAGES', 0):
        for word in (*step.command, *step.env.values()):
            if word.startswith('{') and word != f'{{{step.name}}}':
                assert word.strip('{}').split('/')[0] in names, word
        names.append(step.name)
    assert len(set(names)) == len(names)
    rows = {folder.split('/')[0] for folder in recipe.ROWS.values()}
    assert rows == set(names)


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """Rows of benchmarks/gpu.py in this process: name to function."""
    module = importlib.import_module('gpu')

    def run(rows, *words):
        monkeypatch.setattr(module, 'all_rows', lambda args, left: rows)
        monkeypatch.setattr('sys.argv', [
            'gpu', '--device', 'cpu', '--out',
            str(tmp_path / 'speed_gpu.json'), *words
        ])
        module.main()
        found = json.loads((tmp_path / 'speed_gpu.json').read_text())['rows']
        return {(row['row'], row['what']): row['value'] for row in found}

    run.module, run.path = module, tmp_path / 'speed_gpu.json'
    return run


def test_a_row_that_fails_is_a_line(gpu, tmp_path):
    """Rows that are done stay, one that failed is tried again."""
    calls = []

    def good():
        calls.append('good')
        return dict(figure=2.5, times=dict(a=[1.]))

    def bad():
        calls.append('bad')
        raise RuntimeError('CUDA out of memory.\nTried to')

    found = gpu({'bad': bad, 'good': good})
    assert found['bad', 'failed'].startswith('RuntimeError: CUDA out of mem')
    assert '\n' not in found['bad', 'failed']
    assert found['good', 'figure'] == 2.5
    gpu({'bad': bad, 'good': good}, '--go-on')
    assert calls == ['bad', 'good']
    gpu({'bad': bad, 'good': good})
    assert calls == ['bad', 'good', 'bad']
    gpu({'bad': good, 'good': good}, '--only', 'go')
    assert calls == ['bad', 'good', 'bad']


def test_a_row_that_ends_the_process(gpu):

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gpu({'a': stop, 'b': dict})
    found = gpu({'a': stop, 'b': lambda: dict(x=1)}, '--go-on')
    assert found['a', 'failed'] == 'the process was killed'
    assert found['b', 'x'] == 1


def test_a_row_that_hangs(gpu, monkeypatch):
    """It is written before the process ends, for there is no other way."""
    ended = threading.Event()
    seen = []

    def end(status):
        rows = json.loads(gpu.path.read_text())['rows']
        seen.append((status, rows[0]['what'], rows[0]['value']))
        ended.set()

    monkeypatch.setattr(gpu.module.os, '_exit', end)
    monkeypatch.setattr(gpu.module, 'LIMIT', 0.2)
    gpu({'a': lambda: dict(x=ended.wait(20))})
    assert seen == [(3, 'failed', 'not done in 0 s')]
    found = gpu({'b': dict}, '--seconds', '5')
    assert found['b', 'failed'] == 'no time was left'


def test_page_of_the_gpu(gpu, tmp_path):
    runs = importlib.import_module('gpu_runs')
    none, work = str(tmp_path / 'x'), str(tmp_path)
    found = gpu({
        'a': lambda: dict(x=1.5),
        'recipe': lambda: runs.recipe(none, work, True, 1.)
    })
    assert 'x: no ImageSets/train_cls.txt' in found['recipe', 'failed']
    page = tmp_path / 'page.md'
    page.write_text('<!-- speed_gpu -->\n<!-- end -->\n')
    gpu({}, '--page', str(page))
    assert '| a | x | 1.5 |' in page.read_text()


@pytest.mark.slow
def test_what_travels_to_a_gpu(tmp_path, start):
    """Packages without a network, images, and no file of this machine."""
    try:
        metadata.version('onedl-mmcv')
    except metadata.PackageNotFoundError:
        pytest.skip('it packs the default stack, which is not installed')
    root, given = tmp_path / 'checkout', tmp_path / 'given'
    (root / 'benchmarks').mkdir(parents=True)
    shutil.copy(FOLDER / 'gpu.sh', root / 'benchmarks')
    generate_toy(given, 2, 1, 48)
    tags = (given / 'ImageSets/train_cls.txt').read_text()
    (given / 'ImageSets/train_a_cls.txt').write_text(tags)
    pack = ['bash', root / 'benchmarks/gpu.sh', '--pack']
    assert not start(*pack, given, cwd=tmp_path).returncode
    packed = root / '.gpu'
    names = {
        str(path.relative_to(packed))
        for path in packed.rglob('*') if path.is_file()
    }
    ids = [line.split()[0] for line in tags.splitlines()]
    assert names == {
        'site.zip', 'voc1155/ImageSets/train_cls.txt',
        *(f'voc1155/JPEGImages/{name}.jpg' for name in ids),
        *(f'voc1155/SegmentationClass/{name}.png' for name in ids)
    }
    with zipfile.ZipFile(packed / 'site.zip') as site:
        names = site.namelist()
    assert 'mmengine/__init__.py' in names
    # versions are read off these folders
    assert any(name.endswith('.dist-info/METADATA') for name in names)
    assert not any('..' in name or name.endswith('.so') for name in names)
    done = start(*pack, root, cwd=tmp_path)
    assert done.returncode and 'train_a_cls.txt' in done.stderr


@pytest.mark.slow
def test_every_row_of_a_gpu(tmp_path, start):
    """As it is typed there, so that no second of a GPU goes to a slip."""
    out = tmp_path / 'speed_gpu.json'
    words = ['--device', 'cpu', '--tiny', '--seconds', '3000', '--out', out]
    done = start(
        'bash', FOLDER / 'gpu.sh', *words, '--work-dir', tmp_path, cwd=FOLDER)
    assert not done.returncode, done.stderr
    rows = json.loads(out.read_text())['rows']
    failed = [row for row in rows if row['what'] in ('failed', 'started')]
    assert not failed
    kinds = {row['row'].split(' ')[0] for row in rows}
    assert kinds == {
        'train', 'kernels', 'groups', 'waits', 'labels', 'loader', 'same',
        'compiled', 'recipe'
    }
    found = {(row['row'], row['what']): row['value'] for row in rows}
    assert 10 < found['kernels VGG16', 'of the backbone, % of all'] < 110
    for title in ('as configs are', 'deterministic'):
        for what in ('weights', 'labels'):
            assert found['same VGG16', f'{what}, {title}'] == 'equal'
    assert found['recipe', 'walk, s'] > 0
    assert 0 <= found['recipe', 'mIoU of the labels'] <= 100


def test_layouts_of_the_rehearsal(tmp_path):
    """Every name is there, with its tags, and few images are."""
    data = importlib.import_module('rehearsal_data')
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


def test_phases_of_the_rehearsal(tmp_path, monkeypatch):
    """A phase has its own figures, and a child of a child counts."""
    module = importlib.import_module('rehearsal_watch')
    watch = module.Watch(str(tmp_path / 'work'), {})
    monkeypatch.setattr(module, 'PHASES', dict(busy='begin'))
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


def test_stops_of_the_rehearsal():
    stop = importlib.import_module('dress_rehearsal').trained(.5)
    assert not stop('Epoch(train) [1][ 40/100] loss: 1\n')
    assert stop('Epoch(train)  [1][ 50/100] loss: 1\n') == signal.SIGTERM
    assert stop('Iter(train) [ 60/100] loss: 1\n') == signal.SIGTERM
    assert not stop('Epoch(val) [1][100/100]\n')
