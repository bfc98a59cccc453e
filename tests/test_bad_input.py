# Copyright (c) group_wsss contributors. All rights reserved.
"""What users get wrong, end to end: one line, status 2, nothing half-done."""
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
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


LISTS = {
    'empty.txt': ('', 'empty.txt: the image list is empty'),
    'blank.txt': ('\n \n', 'blank.txt: the image list is empty'),
    'up.txt': ('tiny_0 1\n../tiny_1 1\n', "up.txt:2: image id '../tiny_1'"),
    'inner.txt': ('a/../../b 1\n', "inner.txt:1: image id 'a/../../b'"),
    'root.txt': ('/etc/passwd 1\n', 'root.txt:1: image id'),
    'range.txt':
    ('tiny_0 1\ntiny_1 20\n', 'range.txt:2: class id 20 is out of range'),
    'minus.txt':
    ('tiny_0 1\n\ntiny_1 -1\n', 'minus.txt:3: class id -1 is out of range'),
    'huge.txt': ('tiny_0 99999999999999999999\n', 'huge.txt:1: class id'),
    'twice.txt': ('tiny_0 1\ntiny_1 2\ntiny_0 1\n',
                  "twice.txt:3: duplicate image id 'tiny_0'"),
    'word.txt': ('tiny_0 1\ntiny_1 dogg\n', "word.txt:2: 'dogg'"),
    'comma.txt': ('tiny_0 1\ntiny_1,2\n', "comma.txt:2: contains ','"),
    'wrong.txt': ('{"images": []}\n', 'wrong.txt:1: looks like JSON'),
    'bad.csv': ('id,labels\ntiny_0,1\ntiny_1\n', 'bad.csv:3: 1 columns'),
    'head.csv': ('tiny_0,1\n', 'head.csv:1: the header must be'),
    'bad.json': ('{"images": [\n{"id": 1\n', 'bad.json:3: not JSON'),
    'none.json': ('{"images": []}', 'none.json: the image list is empty'),
    'list.yaml': ('a: 1\n', "list.yaml: unknown list format '.yaml'"),
    'latin.txt': ('tiny_0 1\ntiny_\udce9 1\n', 'latin.txt:2: not UTF-8'),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', LISTS)
@pytest.mark.parametrize('command', ['train', 'test'])
def test_lists(command, name, data, tool, tmp_path, monkeypatch):
    text, expected = LISTS[name]
    (data / name).write_bytes(text.encode('utf-8', 'surrogateescape'))
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


def label_image(path):
    mask = np.zeros((40, 48), np.uint8)
    mask[10:20, 10:30] = 5
    image = Image.fromarray(mask, mode='P')
    image.putpalette(list(range(256)) * 3)
    image.save(path, format='PNG')


def gray_label(path):
    mask = np.zeros((40, 48), np.uint8)
    mask[10:20, 10:30] = 5
    mask[9] = 255
    Image.fromarray(mask).save(path, format='PNG')


def folder(path):
    path.unlink()
    path.mkdir()


PHOTOGRAPHS = {
    missing: 'no such image (1 of 8',
    truncated: 'truncated or corrupt image',
    empty: 'the file is empty',
    no_image: 'not an image',
    label_image: 'palette image looks like a label image',
    gray_label: 'grayscale image with values [0, 5, 255]... looks like',
    folder: 'cannot be read: Is a directory',
}


def fork(workers):
    return [
        f'{loader}_dataloader.num_workers={workers}'
        for loader in ('train', 'test')
    ]


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('command', ['train', 'test'])
@pytest.mark.parametrize('harm', PHOTOGRAPHS, ids=lambda f: f.__name__)
def test_images(harm, command, workers, data, tool, tmp_path):
    if workers and harm not in (truncated, label_image, folder):
        pytest.skip('the two roads part before the kind of the harm matters')
    work_dir = tmp_path / 'work'
    if command == 'test':
        assert tool('test') is None
        before = labels_in(work_dir)
        assert WITNESSES < set(before) and len(before) == 10
    image = data / 'JPEGImages' / 'tiny_5.jpg'
    harm(image)
    line = tool(command, 'train_cfg.max_iters=9', *fork(workers))
    assert line.startswith(f'{image}: {PHOTOGRAPHS[harm]}')
    after = labels_in(work_dir)
    assert after == (before if command == 'test' else {})


@pytest.mark.slow
def test_a_failed_dump_leaves_the_old_one_alone(data, tool, tmp_path):
    work_dir = tmp_path / 'work'
    assert tool('test') is None
    old = labels_in(work_dir)
    truncated(data / 'JPEGImages' / 'tiny_6.jpg')
    # everything is background now
    line = tool('test', 'default_hooks.pseudo_labels.labeler.bg_threshold=1.0')
    assert 'tiny_6.jpg: truncated' in line
    assert labels_in(work_dir) == old


@pytest.mark.slow
def test_group_larger_than_any_class(data, tool, tmp_path):
    # two images of each class
    line = tool('train', 'group_size=4')
    assert line == 'group_size=4 is larger than the largest class (2 images)'
    assert not labels_in(tmp_path / 'work')


def test_group_sizes_differ(data, tool, tmp_path):
    line = tool('train', 'train_dataloader.batch_sampler.group_size=4')
    assert 'train_dataloader.batch_sampler.group_size is 4' in line
    assert 'group_size of the config is 2' in line
    line = tool('train', 'train_dataloader.batch_size=5')
    assert line == ('train_dataloader.batch_size=5 is not a multiple of '
                    'group_size=2')
    assert not labels_in(tmp_path / 'work')


@pytest.mark.slow
@pytest.mark.parametrize(
    'options, words', [
        (['model.neck.in_channels=512'
          ], ['maps of 512 channels', 'in_channels of the head is 64']),
        (['model.head.in_channels=32'
          ], ['maps of 64 channels', 'in_channels of the head is 32']),
        (['model.head.in_channels=32', 'model.neck.in_channels=32'
          ], ['in_channels of CoAttentionGNN is 32', '(4, 64,']),
        ([
            'model.backbone._delete_=True', 'model.backbone.img_size=64',
            'model.backbone.type=mmpretrain.VisionTransformer'
        ], ['VisionTransformer', "out_type='featmap'"]),
    ],
    ids=['neck', 'head', 'both', 'no map'])
def test_parts_that_do_not_fit(options, words, data, tool, tmp_path):
    line = tool('train', *options)
    for word in words:
        assert word in line
    assert not labels_in(tmp_path / 'work')


@pytest.mark.slow
def test_checkpoint_for_another_class_count(data, tool, tmp_path, checkpoint):
    work_dir = tmp_path / 'work'
    assert tool('test') is None
    before = labels_in(work_dir)
    line = tool('test', 'model.head.num_classes=7')
    assert line.startswith(f'{checkpoint}: ')
    assert 'head.classifier.weight' in line and '20' in line and '7' in line
    assert labels_in(work_dir) == before


@pytest.mark.slow
def test_dataset_for_another_class_count(data, tool, tmp_path):
    (data / 'ImageSets/train_cls.txt').write_text(''.join(
        f'tiny_{i} {i % 2 + 8}\n' for i in range(8)))
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
    path.write_text('not a checkpoint')
    line = tool('test', weights=path)
    assert line.startswith(f'{path}: cannot be read as a checkpoint')
    path.write_bytes(b'')
    line = tool('test', weights=path)
    assert line.startswith(f'{path}: cannot be read as a checkpoint')


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


@pytest.mark.slow
@pytest.mark.parametrize('command', ['train', 'test'])
def test_full_disk_while_labels_are_written(command, data, tool, tmp_path,
                                            monkeypatch):
    # simulated: works for every user on every file system
    replace = os.replace
    done = []

    def full(source, target):
        if str(target).endswith('.png'):
            done.append(target)
            if len(done) > 3:
                raise OSError(errno.ENOSPC, 'No space left on device')
        replace(source, target)

    monkeypatch.setattr(os, 'replace', full)
    line = tool(command)
    assert line.startswith(f'{tmp_path}/work/pseudo_labels')
    assert line.endswith('No space left on device') and len(done) == 4
    assert 'manifest.json' not in labels_in(tmp_path / 'work')


def environment():
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH']
    env = {**os.environ, 'PATH': path, 'PYTHONWARNINGS': 'ignore'}
    # the scripts find the package themselves
    env.pop('PYTHONPATH', None)
    return env


def in_full_folder(size, mount, words):
    """Run a tool where ``mount`` is a file system of ``size``."""
    command = ('mount -t tmpfs -o size="$1" none "$2" || exit 77; shift; '
               'at="$1"; shift; "$@"; status=$?; cp -r "$at"/. "$at.left"; '
               'exit $status')
    try:
        return subprocess.run([
            'unshare', '-rm', 'sh', '-c', command, 'sh', size,
            str(mount), sys.executable, *map(str, words)
        ],
                              env=environment(),
                              capture_output=True,
                              text=True,
                              timeout=200)
    except FileNotFoundError:
        pytest.skip('there is no unshare')


@pytest.mark.slow
@pytest.mark.parametrize('size, left', [
    ('4k', 'the log'),
    ('400k', 'the checkpoint'),
])
def test_full_disk(size, left, data, tmp_path):
    mount = tmp_path / 'small'
    mount.mkdir()
    (tmp_path / 'small.left').mkdir()
    done = in_full_folder(
        size, mount,
        [ROOT / 'tools' / 'train.py', CONFIG, '--work-dir', mount / 'work'])
    if done.returncode in (1, 77) and 'error: ' not in done.stderr:
        pytest.skip('no file system can be mounted here')
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    lines = [x for x in done.stderr.splitlines() if x.startswith('error: ')]
    assert len(lines) == 1
    assert lines[0].startswith(f'error: {mount}/work')
    assert 'No space left on device' in lines[0]
    names = [p.name for p in (tmp_path / 'small.left').rglob('*')]
    assert names and not [x for x in names if 'part' in x or '.pth' in x]
    assert 'last_checkpoint' not in names


@pytest.mark.slow
def test_full_disk_keeps_the_last_checkpoint(data, tool, tmp_path,
                                             monkeypatch):
    work_dir = tmp_path / 'work'
    assert tool('train') is None
    files = {
        path: path.read_bytes()
        for path in (work_dir / 'iter_2.pth', work_dir / 'last_checkpoint')
    }
    replace = os.replace

    def full(source, target):
        if str(target).endswith('.pth'):
            raise OSError(errno.ENOSPC, 'No space left on device')
        replace(source, target)

    monkeypatch.setattr(os, 'replace', full)
    line = tool('train', 'train_cfg.max_iters=4', 'resume=True')
    assert 'iter_4.pth' in line and 'No space left' in line
    for path, content in files.items():
        assert path.read_bytes() == content
    assert not list(work_dir.glob('*part*')) + list(work_dir.glob('.*part*'))


@pytest.mark.parametrize('command', ['train', 'test'])
def test_missing_config(command, tool, tmp_path):
    path = tmp_path / 'no.py'
    assert tool(command, config=path) == f'{path}: no such config file'
    path.write_text("_base_ = './nowhere.py'\n")
    line = tool(command, config=path)
    assert line.startswith(f'{path}: ') and 'nowhere.py' in line
    path.write_text('model = dict(\n')
    assert tool(command, config=path).startswith(f'{path}: ')
    assert not (tmp_path / 'work').exists()


@pytest.mark.slow
@pytest.mark.parametrize('command', ['train', 'test'])
@pytest.mark.parametrize('key, value', [
    ('model.type', 'group_wsss.GroupCAMM'),
    ('model.neck.type', 'CoAttentionGMM'),
    ('model.head.type', 'group_wsss.GroupCamHead'),
    ('{}_dataloader.dataset.type', 'VOCImageLevl'),
    ('{}_dataloader.dataset.pipeline.0.type', 'group_wsss.LoadFoto'),
    ('default_hooks.pseudo_labels.type', 'group_wsss.PseudoLabelsHook'),
    ('default_hooks.pseudo_labels.labeler.type', 'ThresholdLabeller'),
    ('optim_wrapper.optimizer.type', 'SDG'),
])
def test_misspelt_type(command, key, value, data, tool, tmp_path):
    if command == 'test':
        if 'optimizer' in key:
            pytest.skip('testing has no optimizer')
        key = key.replace('dataset.pipeline', 'dataset.dataset.pipeline')
    line = tool(command, f'{key.format(command)}={value}')
    assert value.split('.')[-1] in line
    assert not labels_in(tmp_path / 'work')


@pytest.mark.parametrize('command', ['train', 'test'])
@pytest.mark.parametrize('key, value', [
    ('data_root', '/nowhere/at/all'),
    ('ann_file', 'none.txt'),
    ('data_prefix', 'Images'),
])
def test_missing_data(command, key, value, data, tool, tmp_path):
    where = f'{command}_dataloader.dataset.'
    where += 'dataset.' * (command == 'test') + key
    line = tool(command, f'{where}={value}')
    assert value in line and where in line
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('key', ['model.grup_size', 'model.neck.stepz'])
def test_unknown_argument(key, data, tool, tmp_path):
    line = tool('train', f'{key}=3')
    assert key.split('.')[-1] in line
    assert not labels_in(tmp_path / 'work')


@pytest.mark.slow
def test_as_a_process(data, tmp_path):
    path = data / 'JPEGImages' / 'tiny_5.jpg'
    truncated(path)
    done = subprocess.run([
        sys.executable, ROOT / 'tools' / 'train.py', CONFIG, '--work-dir',
        tmp_path / 'work', '--cfg-options', 'train_cfg.max_iters=9', *fork(2)
    ],
                          cwd=tmp_path,
                          env=environment(),
                          capture_output=True,
                          text=True,
                          timeout=200)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f'error: {path}: truncated or corrupt image')
    assert not labels_in(tmp_path / 'work')


def test_a_package_that_is_not_there(tool, tmp_path):
    path = tmp_path / 'a.py'
    path.write_text("custom_imports = dict(imports=['no_such_package.models'],"
                    ' allow_failed_imports=False)')
    assert tool(
        'train', config=path) == (
            f"{path}: an import of this config failed: No module named "
            "'no_such_package'")
