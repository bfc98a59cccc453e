# Copyright (c) group_wsss contributors. All rights reserved.
"""What users get wrong, end to end: one line, status 2, nothing half-done."""
import errno
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TRAIN = ROOT / 'tools' / 'train.py'
CONFIG = ROOT / 'tests' / 'configs' / 'tiny_group_cam.py'
# files of a complete dump beside the label images
WITNESSES = {'ids.txt', 'manifest.json'}


@pytest.fixture
def data(tiny_voc, tmp_path, monkeypatch):
    """A copy of the tiny folder that the config reads; no masks in it."""
    root = tmp_path / 'data'
    shutil.copytree(tiny_voc, root)
    shutil.rmtree(root / 'SegmentationClass')
    monkeypatch.setenv('DATA_ROOT', str(root))
    monkeypatch.setenv('TRAIN_LIST', 'ImageSets/train_cls.txt')
    return root


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Random weights that fit the config."""
    from group_wsss.registry import MODELS
    cfg = Config.fromfile(CONFIG)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    model.init_weights()
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


@pytest.fixture
def tool(call_tool, checkpoint, tmp_path, capsys):
    """Run train or test on the config; the line of a refusal or None."""

    def call(name, *options, config=CONFIG, weights=None, work_dir=None):
        words = [config]
        if name == 'test':
            words.append(weights or checkpoint)
        words += ['--work-dir', work_dir or tmp_path / 'work']
        if options:
            words += ['--cfg-options', *options]
        status = 0
        try:
            call_tool(name, *words)
        except SystemExit as error:
            status = error.code
        err = capsys.readouterr().err
        assert 'Traceback' not in err
        lines = [x for x in err.splitlines() if x.startswith('error: ')]
        if not status:
            assert not lines
            return None
        assert status == 2 and len(lines) == 1
        return lines[0][len('error: '):]

    return call


def labels_in(work_dir):
    """The files of a dump; none of them is a part of a file."""
    folder = work_dir / 'pseudo_labels'
    files = {
        p.name: p
        for p in folder.rglob('*')
        if p.is_file() and p.parent.name != '.unfinished'
    }
    for name in files:
        assert name in WITNESSES or name.endswith('.png'), name
        if name.endswith('.png'):
            Image.open(files[name]).load()
    return {name: path.read_bytes() for name, path in files.items()}


# all others: test_structures/test_image_list.py
LISTS = [
    ('train', 'up.txt', b'tiny_0 1\n../tiny_1 1\n',
     "up.txt:2: image id '../tiny_1'"),
    ('train', 'comma.txt', b'tiny_0 1\ntiny_1,2\n',
     "comma.txt:2: contains ','"),
    ('test', 'head.csv', b'tiny_0,1\n', 'head.csv:1: the header must be'),
    ('test', 'none.json', b'{"images": []}',
     'none.json: the image list is empty'),
]


@pytest.mark.slow
@pytest.mark.parametrize('command, name, content, expected', LISTS)
def test_lists(command, name, content, expected, data, tool, tmp_path,
               monkeypatch):
    (data / name).write_bytes(content)
    monkeypatch.setenv('TRAIN_LIST', name)
    line = tool(command)
    assert expected in line and line.startswith(str(data / name))
    assert not labels_in(tmp_path / 'work')


def missing(path):
    path.unlink()


def truncated(path):
    path.write_bytes(path.read_bytes()[:-300])


def empty(path):
    path.write_bytes(b'')


def no_image(path):
    path.write_text('<html>404 not found</html>')


def label_image(path, palette=True):
    mask = np.zeros((40, 48), np.uint8)
    mask[10:20, 10:30] = 5
    mask[9] = 255
    image = Image.fromarray(mask)
    if palette:
        image.putpalette(list(range(256)) * 3)
    image.save(path, format='PNG')


def gray_label(path):
    label_image(path, palette=False)


def folder(path):
    path.unlink()
    path.mkdir()


# what was done, by which command and how many workers it is found, its line
PHOTOGRAPHS = [
    (missing, 'train', 0, 'no such image (1 of 8'),
    (missing, 'test', 0, 'no such image (1 of 8'),
    (truncated, 'train', 2, 'truncated or corrupt image'),
    (truncated, 'test', 2, 'truncated or corrupt image'),
    (empty, 'train', 0, 'the file is empty'),
    (no_image, 'test', 0, 'not an image'),
    (label_image, 'train', 0, 'palette image looks like a label image'),
    (label_image, 'test', 2, 'palette image looks like a label image'),
    (gray_label, 'train', 0,
     'grayscale image with values [0, 5, 255]... looks like'),
    (folder, 'train', 2, 'cannot be read: Is a directory'),
    (folder, 'test', 0, 'cannot be read: Is a directory'),
]


def fork(workers):
    return [
        f'{loader}_dataloader.num_workers={workers}'
        for loader in ('train', 'test')
    ]


@pytest.mark.slow
@pytest.mark.parametrize('harm, command, workers, expected', PHOTOGRAPHS)
def test_images(harm, command, workers, expected, data, tool, tmp_path):
    work_dir, before = tmp_path / 'work', {}
    if command == 'test':
        assert tool('test') is None
        before = labels_in(work_dir)
        assert WITNESSES < set(before) and len(before) == 10
    image = data / 'JPEGImages' / 'tiny_6.jpg'
    harm(image)
    # all labels would be background now
    line = tool(command, 'train_cfg.max_iters=9',
                'default_hooks.pseudo_labels.labeler.bg_threshold=1.0',
                *fork(workers))
    assert line.startswith(f'{image}: {expected}')
    assert labels_in(work_dir) == before


DATASET = 'train_dataloader.dataset.'
TEST_DATASET = 'test_dataloader.dataset.dataset.'
SETTINGS = [
    # two images of each class
    ('train', 'group_size=4',
     ['group_size=4 is larger than the largest class (2 images)']),
    ('train', 'train_dataloader.batch_sampler.group_size=4', [
        'train_dataloader.batch_sampler.group_size is 4',
        'group_size of the config is 2'
    ]),
    ('train', 'train_dataloader.batch_size=5',
     ['train_dataloader.batch_size=5 is not a multiple of group_size=2']),
    # parts that do not fit
    ('train', 'model.neck.in_channels=512',
     ['maps of 512 channels', 'in_channels of the head is 64']),
    ('train', 'model.head.in_channels=32 model.neck.in_channels=32',
     ['in_channels of CoAttentionGNN is 32', '(4, 64,']),
    ('train', 'model.backbone._delete_=True model.backbone.img_size=64 '
     'model.backbone.type=mmpretrain.VisionTransformer',
     ['VisionTransformer', "out_type='featmap'"]),
    ('train', 'model.grup_size=3', ['grup_size']),
    ('train', 'model.neck.stepz=3', ['stepz']),
    # types that are misspelt
    *((command, f'{key}={kind}', [kind.split('.')[-1]])
      for command, key, kind in (
          ('train', 'model.type', 'group_wsss.GroupCAMM'),
          ('test', 'model.neck.type', 'CoAttentionGMM'),
          ('train', 'model.head.type', 'group_wsss.GroupCamHead'),
          ('train', f'{DATASET}type', 'VOCImageLevl'),
          ('test', f'{TEST_DATASET}type', 'VOCImageLevl'),
          ('train', f'{DATASET}pipeline.0.type', 'group_wsss.LoadFoto'),
          ('test', f'{TEST_DATASET}pipeline.0.type', 'group_wsss.LoadFoto'),
          ('test', 'default_hooks.pseudo_labels.type', 'PseudoLabelsHook'),
          ('train', 'default_hooks.pseudo_labels.labeler.type',
           'ThresholdLabeller'),
          ('train', 'optim_wrapper.optimizer.type', 'SDG'))),
    # data that is not there
    *((command, f'{where}{key}={value}', [value, f'{where}{key}'])
      for command, where in (('train', DATASET), ('test', TEST_DATASET))
      for key, value in (('data_root', '/nowhere/at/all'),
                         ('ann_file', 'none.txt'), ('data_prefix', 'Images'))),
]  # yapf: disable


@pytest.mark.slow
@pytest.mark.parametrize('command, options, words', SETTINGS)
def test_settings(command, options, words, data, tool, tmp_path):
    line = tool(command, *options.split())
    for word in words:
        assert word in line
    assert not labels_in(tmp_path / 'work')


@pytest.mark.slow
def test_another_class_count(data, tool, tmp_path, checkpoint):
    line = tool('test', 'model.head.num_classes=7')
    assert line.startswith(f'{checkpoint}: ')
    assert 'head.classifier.weight' in line and '20' in line and '7' in line
    tags = ''.join(f'tiny_{i} {i % 2 + 8}\n' for i in range(8))
    (data / 'ImageSets/train_cls.txt').write_text(tags)
    line = tool('train', 'model.head.num_classes=7')
    assert 'num_classes is 7' in line and '20 classes' in line
    assert not labels_in(tmp_path / 'work')


class Evil:
    """Pickles as a call that leaves a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path), )


@pytest.mark.slow
@pytest.mark.parametrize('protocol', [2, 5])
def test_malicious_checkpoint(protocol, data, tool, tmp_path, checkpoint):
    target, path = tmp_path / 'executed', tmp_path / 'evil.pth'
    good = torch.load(checkpoint)
    torch.save(
        dict(good, message_hub=Evil(target)), path, pickle_protocol=protocol)
    line = tool('test', weights=path)
    assert line.startswith(f'{path}: not loaded') and 'mkdir' in line
    line = tool('train', f'load_from={path}')
    assert line.startswith(f'{path}: not loaded')
    line = tool('train', f'model.backbone.init_cfg.checkpoint={path}',
                'model.backbone.init_cfg.type=Pretrained')
    assert line.startswith(f'{path}: not loaded')
    assert not target.exists()
    assert not labels_in(tmp_path / 'work')


@pytest.mark.slow
def test_no_checkpoint(data, tool, tmp_path):
    path = tmp_path / 'absent.pth'
    assert tool('test', weights=path) == f'{path}: no such checkpoint'
    for content in (b'not a checkpoint', b''):
        path.write_bytes(content)
        line = tool('test', weights=path)
        assert line.startswith(f'{path}: cannot be read as a checkpoint')


@pytest.mark.parametrize('command', ['train', 'test'])
def test_no_config(command, tool, tmp_path):
    path = tmp_path / 'no.py'
    assert tool(command, config=path) == f'{path}: no such config file'
    for text, words in (
        ("_base_ = './nowhere.py'", 'nowhere.py'),
        ('model = dict(', ''),
        ("custom_imports = dict(imports=['no_such_package.models'])",
         'an import of this config failed: No module named '
         "'no_such_package'"),
    ):
        path.write_text(text + '\n')
        line = tool(command, config=path)
        assert line.startswith(f'{path}: ') and words in line
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('command', ['train', 'test'])
def test_work_dir_in_a_file(command, data, tool, tmp_path):
    (tmp_path / 'file').write_text('')
    work_dir = tmp_path / 'file' / 'work'
    line = tool(command, work_dir=work_dir)
    assert line.startswith(f'{work_dir}: cannot be written')


@pytest.mark.slow
@pytest.mark.parametrize('command', ['train', 'test'])
def test_output_folder_is_a_file(command, data, tool, tmp_path):
    target = tmp_path / 'taken'
    target.write_text('precious')
    line = tool(command, f'default_hooks.pseudo_labels.out_dir={target}')
    assert line.startswith(f'{target}: cannot create the folder')
    assert target.read_text() == 'precious'
    assert not (tmp_path / 'work' / 'iter_2.pth').exists()


@pytest.fixture
def fill_disk(monkeypatch):
    """A disk that is full after some files; for every user and system."""
    replace = os.replace

    def do(suffix, left):
        room = iter(range(left))

        def full(source, target):
            if str(target).endswith(suffix) and next(room, None) is None:
                raise OSError(errno.ENOSPC, 'No space left on device')
            replace(source, target)

        monkeypatch.setattr(os, 'replace', full)

    return do


@pytest.mark.slow
@pytest.mark.parametrize('command', ['train', 'test'])
def test_full_disk_while_labels_are_written(command, data, tool, tmp_path,
                                            fill_disk):
    fill_disk('.png', left=3)
    line = tool(command)
    assert line.startswith(f'{tmp_path}/work/pseudo_labels')
    assert line.endswith('No space left on device')
    assert 'manifest.json' not in labels_in(tmp_path / 'work')


@pytest.mark.slow
def test_full_disk_keeps_the_last_checkpoint(data, tool, tmp_path, fill_disk):
    work_dir = tmp_path / 'work'
    assert tool('train') is None
    files = {
        path: path.read_bytes()
        for path in (work_dir / 'iter_2.pth', work_dir / 'last_checkpoint')
    }
    fill_disk('.pth', left=0)
    line = tool('train', 'train_cfg.max_iters=4', 'resume=True')
    assert 'iter_4.pth' in line and 'No space left' in line
    for path, content in files.items():
        assert path.read_bytes() == content
    assert not list(work_dir.glob('*part*')) + list(work_dir.glob('.*part*'))


@pytest.mark.slow
def test_disk_without_room_for_a_log(data, tmp_path, start):
    if shutil.which('unshare') is None:
        pytest.skip('there is no unshare')
    mount = tmp_path / 'small'
    mount.mkdir()
    script = ('mount -t tmpfs -o size=4k none "$0" || exit 77; "$@"; '
              'status=$?; find "$0"; exit $status')
    words = ['unshare', '-rm', 'sh', '-c', script, mount, sys.executable]
    done = start(
        *words, TRAIN, CONFIG, '--work-dir', mount / 'work', cwd=tmp_path)
    if done.returncode in (1, 77) and 'error: ' not in done.stderr:
        pytest.skip('no file system can be mounted here')
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    line, = (x for x in done.stderr.splitlines() if x.startswith('error: '))
    assert line.startswith(f'error: {mount}/work')
    assert 'No space left on device' in line
    for part in ('part', '.pth', 'last_checkpoint'):
        assert part not in done.stdout


@pytest.mark.slow
def test_as_a_process(data, tmp_path, start):
    path = data / 'JPEGImages' / 'tiny_5.jpg'
    truncated(path)
    words = ['--cfg-options', 'train_cfg.max_iters=9', *fork(2)]
    done = start(
        sys.executable,
        TRAIN,
        CONFIG,
        '--work-dir',
        tmp_path / 'work',
        *words,
        cwd=tmp_path,
        PYTHONWARNINGS='ignore')
    assert done.returncode == 2
    line, = done.stderr.splitlines()
    assert line.startswith(f'error: {path}: truncated or corrupt image')
    assert not labels_in(tmp_path / 'work')
