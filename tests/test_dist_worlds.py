# Copyright (c) group_wsss contributors. All rights reserved.
"""1, 2 and 4 processes do the same."""
import json
import os
import sys
from pathlib import Path

import pytest
import torch

from group_wsss.utils.config import walk
from group_wsss.utils.launch import torch_is_at_least

WORKER = Path(__file__).with_name('dist_worker.py')
WORLDS = (1, 2, 4)
NUM_IMAGES = 7  # no multiple of 2 or 4
CORRUPT = ('cut', 'empty', 'text')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not torch.distributed.is_available()
        or not torch.distributed.is_gloo_available(),
        reason='this torch has no gloo'),
    pytest.mark.skipif(torch.cuda.is_available(), reason='for CPUs')
]


@pytest.fixture(scope='module')
def base(odd_voc, start, tmp_path_factory):
    """Where one parent and its forks have left all results."""
    base = tmp_path_factory.mktemp('worlds')
    path = os.pathsep.join(p for p in sys.path if p)
    words = [sys.executable, WORKER, base]
    done = start(*words, cwd=base, DATA_ROOT=odd_voc, PYTHONPATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    return base


@pytest.fixture(scope='module')
def codes(base):
    return json.loads((base / 'codes.json').read_text())


def log_of(base, name, rank=0):
    return (base / str(name) / f'rank{rank}.log').read_text()


@pytest.fixture(params=WORLDS)
def world(request, base, codes):
    number = request.param
    logs = [log_of(base, number, rank)[-3000:] for rank in range(number)]
    assert codes[str(number)] == [0] * number, '\n'.join(logs)
    return number


def results(base, world, name):
    return [
        json.loads((base / str(world) / f'{name}{rank}.json').read_text())
        for rank in range(world)
    ]


def test_the_same_groups_in_union(base, world):
    one = results(base, 1, 'groups')[0]
    ranks = results(base, world, 'groups')
    for epoch in range(2):
        expected = {tuple(group) for group in one[epoch]}
        assert len(expected) == NUM_IMAGES
        drawn = [tuple(group) for rank in ranks for group in rank[epoch]]
        assert set(drawn) == expected
        # the sampler repeats images until all ranks have as many
        assert len(drawn) == -(-NUM_IMAGES // world) * world
    assert one[0] != one[1]
    # an endless stream is dealt out group by group
    dealt = [group for rank in ranks for group in rank[2] + rank[3]]
    assert len(dealt) == 8 * 2
    streams = [rank[2] + rank[3] for rank in ranks]
    assert [group for row in zip(*streams) for group in row] == one[2] + one[3]


@pytest.mark.parametrize('kind', ['val_all', 'test_all', 'test_few'])
def test_the_same_metrics(base, world, kind):
    one, many = results(base, 1, kind)[0], results(base, world, kind)
    names = ('multi-label/mAP', 'multi-label/precision_micro', 'cam/mIoU',
             'cam/best_mIoU')
    assert set(names) <= set(one) and 0 < one['cam/mIoU'] < 100
    for metrics in many:  # all ranks know them
        assert metrics == pytest.approx(one, abs=1e-6, rel=0)


def dump_of(base, world, name):
    folder = base / str(world) / name / 'pseudo_labels'
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*') if path.is_file()
    }
    manifest = json.loads(files.pop('manifest.json'))
    assert manifest.pop('duration_seconds') > 0
    assert 'GroupCAM' in manifest.pop('config')
    return files, manifest


@pytest.mark.parametrize('name, images', [('all', NUM_IMAGES), ('few', 3)])
def test_the_same_dump(base, world, name, images):
    files, manifest = dump_of(base, world, name)
    assert (files, manifest) == dump_of(base, 1, name)
    assert manifest['images'] == images and manifest['skipped'] == []
    assert set(files) == {f'odd_{i}.png' for i in range(images)} | {'ids.txt'}
    labels = [files[f'odd_{i}.png'] for i in range(images)]
    assert len(set(labels)) == images


@pytest.mark.parametrize('world', WORLDS[:2], indirect=True)
def test_corrupt_images_have_no_label(base, world):
    files, manifest = dump_of(base, world, 'bad0')
    assert (files, manifest) == dump_of(base, world, 'bad2')
    assert (files, manifest) == dump_of(base, 1, 'bad0')
    assert manifest['skipped'] == sorted(CORRUPT)
    assert files['ids.txt'].decode().split() == [
        f'odd_{i}' for i in range(NUM_IMAGES)
    ]
    rows = files['skipped.txt'].decode().splitlines()
    assert [row.split('\t')[0] for row in rows] == sorted(CORRUPT)
    for row, reason in zip(rows, ('truncated', 'is empty', 'not an image')):
        assert reason in row
    one = results(base, 1, 'test_bad0')[0]
    for metrics in results(base, world, 'test_bad0'):
        assert metrics == pytest.approx(one, abs=1e-6, rel=0)
    line = '3 corrupt images have no label'
    assert log_of(base, world).count(line) == 2  # bad0 and bad2


@pytest.mark.parametrize('world', WORLDS[:2], indirect=True)
def test_training_replaces_corrupt_images(base, world):
    folder = base / str(world) / 'bad_train'
    assert (folder / 'iter_6.pth').is_file()
    rows = (folder / 'skipped.txt').read_text().splitlines()
    assert [row.split('\t')[0] for row in rows] == sorted(CORRUPT)
    log = log_of(base, world)
    assert log.count('3 corrupt images were replaced by others') == 1


def test_an_error_names_the_corrupt_image(base, codes, odd_voc):
    assert codes['error'] == [2, 2]
    for rank in range(2):
        lines = log_of(base, 'error', rank).splitlines()
        error, = (line for line in lines if line.startswith('error: '))
        assert error.startswith(f'error: rank {rank}: {odd_voc}/JPEGImages/')
        assert not any('Traceback' in line for line in lines)


def checkpoint_of(base, world, name):
    path = base / str(world) / name / 'iter_2.pth'
    return torch.load(path, weights_only=False)


@pytest.mark.parametrize('world', WORLDS[:2], indirect=True)
def test_two_runs_have_bitwise_the_same_checkpoint(base, world):
    one, two = ({
        key: value
        for key, value in walk(checkpoint_of(base, world, name))
        if isinstance(value, torch.Tensor)
    } for name in 'ab')
    assert len(one) > 100 and any(key.startswith('optimizer') for key in one)
    torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_learning_rate_follows_the_images_of_all_processes(base, world):
    # batches of four images, two groups, made for one process
    for rates in results(base, world, 'lr_a'):
        assert rates == pytest.approx([.01 * world] * len(rates))


@pytest.mark.skipif(
    not torch_is_at_least('2.2'), reason='FSDP of torch 2.1 needs a GPU')
def test_fsdp_trains_as_ddp(base, codes):
    assert codes['2'] == [0, 0], log_of(base, 2)[-3000:]
    assert results(base, 2, 'lr_fsdp') == results(base, 2, 'lr_a')
    one, two = (
        checkpoint_of(base, 2, name)['state_dict'] for name in ('a', 'fsdp'))
    before = torch.load(base / 'strong.pth', weights_only=False)['state_dict']
    torch.testing.assert_close(two, one, atol=1e-5, rtol=1e-4)
    assert sum(not torch.equal(v, before[key]) for key, v in one.items()) > 20
