# Copyright (c) group_wsss contributors. All rights reserved.
"""train.py, test.py and the launchers, on configs of mmseg and mmpretrain."""
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]

SEG_CONFIG = '''
_base_ = {runtime!r}
norm_cfg = dict(type='SyncBN', requires_grad=True)
loss = dict(type='CrossEntropyLoss', loss_weight=1.0, avg_non_ignore=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[127.] * 3, std=[64.] * 3,
        bgr_to_rgb=True, size=(32, 32), seg_pad_val=255,
        test_cfg=dict(size_divisor=8)),
    backbone=dict(
        type='ResNetV1c', depth=18, stem_channels=8, base_channels=4,
        strides=(1, 2, 1, 1), dilations=(1, 1, 1, 1), norm_cfg=norm_cfg),
    decode_head=dict(
        type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1,
        num_classes=21, norm_cfg=norm_cfg, loss_decode=loss),
    test_cfg=dict(mode='whole'))
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
data = dict(
    type='PascalVOCDataset', data_root={root!r},
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'))
train_dataloader = dict(
    batch_size=2, num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        ann_file='ImageSets/Segmentation/train.txt',
        pipeline=load + [
            dict(type='RandomCrop', crop_size=(32, 32)),
            dict(type='PackSegInputs')], **data))
val_dataloader = dict(
    batch_size=1, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file='ImageSets/Segmentation/val.txt',
        pipeline=load + [dict(type='PackSegInputs')], **data))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=2))
'''

CLS_CONFIG = '''
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=8,
                  stem_channels=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=4, in_channels=64,
              loss=dict(type='CrossEntropyLoss')))
data_preprocessor = dict(num_classes=4, mean=[127.] * 3, std=[64.] * 3)
train_dataloader = dict(
    batch_size=4, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset', data_root={root!r}, ann_file={ann!r},
        data_prefix='JPEGImages', classes=['a', 'b', 'c', 'd'],
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='Resize', scale=(32, 32)),
                  dict(type='PackInputs')]))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(by_epoch=True, max_epochs=1)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='CheckpointHook', interval=1),
    run_summary=dict(type='group_wsss.RunSummaryHook'))
next_step = 'label {checkpoint} of {work_dir} with {config}'
'''


def environment(**changes):
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH']
    env = {**os.environ, 'PATH': path, 'OMP_NUM_THREADS': '1', **changes}
    # as on a fresh machine: the scripts find the package themselves
    env.pop('PYTHONPATH', None)
    return env


def run(*command, cwd=ROOT, **env):
    return subprocess.run([str(word) for word in command],
                          cwd=cwd,
                          env=environment(**env),
                          capture_output=True,
                          text=True,
                          timeout=300)


@pytest.fixture(scope='module')
def seg_config(tiny_voc, tmp_path_factory):
    path = tmp_path_factory.mktemp('configs') / 'tiny_seg.py'
    runtime = str(ROOT / 'configs/_base_/seg_runtime.py')
    path.write_text(
        SEG_CONFIG.replace('{root!r}', repr(str(tiny_voc))).replace(
            '{runtime!r}', repr(runtime)))
    return path


@pytest.fixture(scope='module')
def trained(seg_config, tmp_path_factory):
    """Folder of one training, started as a user starts it."""
    cwd = tmp_path_factory.mktemp('cwd')
    done = run(
        sys.executable, ROOT / 'tools' / 'train.py', seg_config, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    checkpoint = 'work_dirs/tiny_seg/iter_2.pth'
    assert 'Iter(train) [2/2]' in done.stdout and 'mIoU' in done.stdout
    assert re.search(rf'last checkpoint (\S*/)?{checkpoint}', done.stdout)
    # what to do next
    last = done.stdout.splitlines()[-1]
    assert 'python tools/test.py' in last and 'iter_2.pth' in last
    return cwd / checkpoint


@pytest.mark.slow
def test_test_and_out(trained, seg_config, call_tool, tmp_path, capsys):
    call_tool('test', seg_config, trained, '--work-dir', tmp_path / 'w',
              '--out', tmp_path / 'png')
    out = capsys.readouterr().out
    assert 'mIoU' in out and 'Written to' in out
    pngs = sorted((tmp_path / 'png').glob('*.png'))
    assert [p.stem for p in pngs] == ['tiny_0', 'tiny_1', 'tiny_2']
    assert Image.open(pngs[0]).size == (48, 40)


@pytest.mark.slow
def test_resume(trained, seg_config, call_tool, tmp_path, capsys):
    call_tool('train', seg_config, '--work-dir', tmp_path, '--resume', trained,
              '--cfg-options', 'train_cfg.max_iters=3')
    out = capsys.readouterr().out
    assert 'Iter(train) [3/3]' in out and 'Iter(train) [1/3]' not in out
    work_dir = trained.parent  # nothing to do there: it is complete
    call_tool('train', seg_config, '--work-dir', work_dir, '--resume')
    out = capsys.readouterr().out
    assert f'Auto resumed from the latest checkpoint {work_dir}' in out
    assert 'Iter(train)' not in out


@pytest.mark.slow
def test_resume_what_began_with_other_weights(trained, seg_config, call_tool,
                                              tmp_path, capsys):
    command = [
        'train', seg_config, '--work-dir', tmp_path, '--resume',
        '--cfg-options', f'load_from={trained}'
    ]
    # nothing to go on from: it begins with those weights, at the beginning
    call_tool(*command, 'train_cfg.max_iters=1')
    out = capsys.readouterr().out
    assert 'Iter(train) [1/1]' in out and 'Auto resumed' not in out
    call_tool(*command, 'train_cfg.max_iters=2')
    out = capsys.readouterr().out
    assert f'Auto resumed from the latest checkpoint {tmp_path}' in out
    assert 'Iter(train) [2/2]' in out and 'Iter(train) [1/2]' not in out


def test_missing_checkpoint(seg_config, tmp_path, refuse):
    gone = tmp_path / 'gone.pth'
    work_dir = ['--work-dir', tmp_path / 'w']
    expected = f'error: {gone}: no such checkpoint'
    for args in (['test', seg_config, gone],
                 ['train', seg_config, '--resume', gone]):  # yapf: disable
        assert refuse(*args, *work_dir) == expected
    line = refuse('train', seg_config, *work_dir, '--cfg-options',
                  f'load_from={gone}')
    assert line == f'{expected}, which is load_from of {seg_config}'
    assert not (tmp_path / 'w').exists()


class Evil:
    """Pickles as a call that leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path), )


@pytest.mark.slow
@pytest.mark.parametrize('safe', [True, False])
def test_malicious_checkpoint(safe, trained, seg_config, tmp_path, refuse):
    """Also with a config of mmseg, which names no hook that reads safely."""
    target, path = tmp_path / 'executed', tmp_path / 'evil.pth'
    good = torch.load(trained, weights_only=False)
    torch.save(dict(good, meta=Evil(target)), path)
    stock = [] if safe else ['default_hooks.safe_loading=None']
    for args, options in ((['test', seg_config, path], stock),
                          (['train', seg_config, '--resume', path], stock),
                          (['train', seg_config],
                           [f'load_from={path}', *stock])):  # yapf: disable
        options = ['--cfg-options', *options] if options else []
        line = refuse(*args, *options, '--work-dir', tmp_path / 'w')
        assert 'evil.pth: not loaded' in line and '.mkdir' in line
    assert not target.exists()


@pytest.mark.slow
def test_checkpoint_for_another_class_count(trained, seg_config, tmp_path,
                                            refuse):
    for args, words in ((['test', seg_config,
                          trained], f'{trained}: does not fit'),
                        (['train', seg_config, '--resume',
                          trained], 'model.decode_head.num_classes is 7')):
        line = refuse(*args, '--cfg-options',
                      'model.decode_head.num_classes=7', '--work-dir',
                      tmp_path)
        assert line.startswith(f'error: {words}')
        assert '21' in line and '7' in line


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_amp_on_a_cpu(seg_config, trained, tmp_path, refuse, call_tool):
    for kind, words in (('AmpOptimWrapper', 'AmpOptimWrapper needs a GPU'),
                        ('OptimWrapperDict', 'works with OptimWrapper only')):
        assert words in refuse('train', seg_config, '--amp', '--work-dir',
                               tmp_path, '--cfg-options',
                               f'optim_wrapper.type={kind}')
    work_dir = tmp_path / 'half'
    call_tool('train', seg_config, '--amp', '--work-dir', work_dir)
    text = (work_dir / seg_config.name).read_text()
    assert "'group_wsss.BFloat16OptimWrapper'" in text
    paths = work_dir / 'iter_2.pth', trained
    half, full = [
        torch.load(path, weights_only=False)['state_dict'] for path in paths
    ]
    name = 'decode_head.conv_seg.weight'
    assert half[name].dtype == torch.float32
    assert not torch.equal(half[name], full[name])
    torch.testing.assert_close(half[name], full[name], rtol=0, atol=.01)


def test_stage_1_config_by_the_same_script(tiny_voc, tmp_path, capsys,
                                           call_tool):
    names = sorted(p.name for p in (tiny_voc / 'JPEGImages').iterdir())
    ann = tmp_path / 'list.txt'
    ann.write_text(''.join(f'{n} {i % 4}\n' for i, n in enumerate(names)))
    config = tmp_path / 'tiny_cls.py'
    config.write_text(
        CLS_CONFIG.replace('{root!r}', repr(str(tiny_voc))).replace(
            '{ann!r}', repr(str(ann))))
    work_dir = tmp_path / 'w'
    call_tool('train', config, '--work-dir', work_dir)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f'  label {work_dir}/epoch_1.pth of {work_dir} with ' \
        f'{config}'
    assert (work_dir / 'epoch_1.pth').is_file()


def test_print_config(seg_config, tmp_path, capsys, call_tool):
    target = tmp_path / 'out.py'
    call_tool('misc/print_config', seg_config, '--save-path', target,
              '--cfg-options', 'train_cfg.max_iters=77')
    assert 'max_iters=77' in capsys.readouterr().out
    assert 'max_iters=77' in target.read_text()


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return str(sock.getsockname()[1])


def launch(kind, cwd, *words):
    script = ROOT / 'tools' / f'dist_{kind}.sh'
    return run('bash', script, *words, cwd=cwd, PORT=free_port())


def miou_of(text):
    return re.findall(r'mIoU: (\S+)', text)[-1]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='for CPUs')
def test_two_cpu_processes(trained, seg_config, tmp_path, call_tool, capsys):
    work_dir = tmp_path / 'a folder'
    done = launch('train', tmp_path, seg_config, 2, '--work-dir', work_dir)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert ', 2 processes\n' in text
    assert '[2/2]' in text and (work_dir / 'iter_2.pth').is_file()
    assert text.count('Written to') == 1
    # both see all three images: the same numbers as one process
    done = launch('test', tmp_path, seg_config, work_dir / 'iter_2.pth', 2,
                  '--work-dir', tmp_path / 'test')
    assert done.returncode == 0, done.stdout + done.stderr
    call_tool('test', seg_config, work_dir / 'iter_2.pth', '--work-dir',
              tmp_path / 'one')
    assert miou_of(done.stdout) == miou_of(capsys.readouterr().out)


@pytest.mark.slow
def test_two_processes_fail_with_one_line(seg_config, tmp_path):
    done = launch('train', tmp_path, seg_config, 2, '--work-dir', tmp_path,
                  '--cfg-options', 'load_from=gone.pth')
    lines = [
        row for row in done.stderr.splitlines() if row.startswith('error: ')
    ]
    assert done.returncode != 0
    assert lines == [
        'error: rank 0: gone.pth: no such checkpoint, which is load_from of '
        f'{seg_config}'
    ]
    done = launch('train', tmp_path, 'no.py', 2)
    assert done.returncode == 2
    assert done.stderr == 'error: no.py: no such config file\n'


@pytest.mark.parametrize(
    'script',
    ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'])
def test_usage(script, tmp_path):
    done = run('bash', ROOT / 'tools' / script, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith('usage:')
