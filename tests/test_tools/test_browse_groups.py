# Copyright (c) group_wsss contributors. All rights reserved.
import csv
import json
from pathlib import Path

import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from PIL import Image

from group_wsss.datasets import (GroupBatchSampler, GroupedDataset,
                                 VOCImageLevel)
from .conftest import files_of

CONFIGS = Path(__file__).parents[2] / 'configs'
CONFIG = CONFIGS / 'group_wsss/effnet-lite0_voc-layout.py'
PLAIN = CONFIGS / 'deeplabv3/deeplabv3_tiny_toy.py'
TEXT = {
    'groups.csv', 'labels.md', 'labels.json', 'classes.csv', 'label_sets.csv',
    'class_sizes.png', 'set_sizes.png'
}
SMALL = ['--cfg-options', 'group_size=2', 'test_group_size=2']  # yapf: disable


@pytest.fixture
def root(tiny_voc, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('TRAIN_LIST', 'ImageSets/train_cls.txt')
    return tiny_voc


def dataset(root, **kwargs):
    return VOCImageLevel(
        data_root=str(root),
        ann_file='ImageSets/train_cls.txt',
        data_prefix='JPEGImages',
        pipeline=[],
        **kwargs)


def groups_of(out):
    found = {}
    with open(out / 'groups.csv', newline='') as file:
        for row in csv.DictReader(file):
            found.setdefault(int(row['group']), []).append(row['img_id'])
    return [found[i] for i in range(len(found))]


@pytest.mark.slow
@pytest.mark.parametrize('kind, seed', [(InfiniteSampler, None),
                                        (DefaultSampler, 3)])
def test_groups_of_the_sampler(root, tmp_path, call_tool, capsys, kind, seed,
                               monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    out = tmp_path / 'out'
    options = [] if seed is None else ['--seed', seed]
    call_tool('browse_groups', CONFIG, '--out', out, '--num', 7, *options,
              *SMALL, 'randomness.seed=5',
              f'train_dataloader.sampler.type={kind.__name__}')
    data = dataset(root)
    sampler = kind(data, shuffle=True, seed=5 if seed is None else seed)
    batches = GroupBatchSampler(sampler, 16, group_size=2, match='exact')
    flat = [data.get_data_info(i)['img_id'] for i in next(iter(batches))]
    expected = [flat[i:i + 2] for i in range(0, 14, 2)]
    assert groups_of(out) == expected
    printed, progress = capsys.readouterr()
    assert 'groups: 7/7' in progress
    for group in expected:
        assert f'{group[0]} [' in printed
    assert '8 images, 4 distinct label sets' in printed
    assert 'Every labelled image has 1 different partners' in printed
    assert printed.splitlines()[-1] == f'files: {out}'
    assert set(files_of(out)) == TEXT | {'groups.png'}
    statistics = json.loads((out / 'labels.json').read_text())
    assert statistics['rules']['exact'] == dict(alone=0, few=0, full=8)
    assert len(statistics['per_class']) == 20
    sheet = Image.open(out / 'groups.png')
    assert sheet.height > 7 * 176 and sheet.width > 2 * 176


def test_groups_of_the_test(root, tmp_path, call_tool):
    call_tool('browse_groups', CONFIG, '--test', '--work-dir', tmp_path,
              '--num', 3, '--seed', 4, *SMALL)
    data = dataset(root, test_mode=True)
    drawn = GroupedDataset(data, 2, 'each', seed=4).group_partners
    names = [data.get_data_info(i)['img_id'] for i in range(8)]
    out = tmp_path / 'groups_test'
    assert groups_of(out) == [[names[i], names[drawn[i, 0]]]
                              for i in (0, 2, 5)]
    assert (out / 'groups.png').exists()


@pytest.mark.slow
def test_without_images(root, tmp_path, call_tool, monkeypatch, refuse):
    bare = tmp_path / 'bare/ImageSets'
    bare.mkdir(parents=True)
    (bare / 'train_cls.txt').write_text('a 0\nb 0\nc 0 1\nd 1\n')
    monkeypatch.setenv('DATA_ROOT', str(bare.parent))
    out = tmp_path / 'out'
    assert 'no such file or folder' in refuse('browse_groups', CONFIG, '--out',
                                              out)
    out.mkdir()
    (out / 'groups.png').write_bytes(b'of an earlier run')
    for extra in ((), ('--test', )):
        call_tool('browse_groups', CONFIG, '--list-only', '--out', out, *extra,
                  *SMALL)
        assert set(files_of(out)) == TEXT
    text = (out / 'labels.md').read_text()
    assert '2 of 4 images share their label set with nobody' in text


@pytest.mark.slow
@pytest.mark.parametrize('words, message', [
    ([CONFIG, '--cfg-options', 'group_size=1'], 'makes no groups'),
    ([CONFIG, '--test', '--cfg-options', 'test_group_size=1'],
     'group_size is 1'),
    ([CONFIG, '--cfg-options', 'test_dataloader.dataset.type=ImageFolder',
      '--test'], 'no GroupedDataset'),
    ([CONFIG, '--cfg-options', 'group_size=8',
      'train_dataloader.batch_size=8'], 'largest class'),
    ([PLAIN, '--list-only'], 'no batch_sampler'),
    ([CONFIG, '--num', '0'], '--num: must be positive'),
    ([CONFIG, '--side', '9'], '--side must be from 64 to 1024'),
])  # yapf: disable
def test_wrong_input_is_one_line(root, tmp_path, refuse, words, message):
    assert message in refuse('browse_groups', *words[:1], '--out',
                             tmp_path / 'out', *words[1:])
    assert not (tmp_path / 'out').exists()
