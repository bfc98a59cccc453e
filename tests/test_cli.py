# Copyright (c) group_wsss contributors. All rights reserved.
import argparse
import errno

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from group_wsss.utils import cli, data_flags
from group_wsss.utils.config import hooks_of
from group_wsss.utils.errors import InputError, describe


class Broken:
    """A dataset that fails in the way it is told."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise self.error


def fail_with(error):

    def main():
        raise error

    return main


def outcome(main, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.run(main)
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize('error, line', [
    (InputError('list.txt:3: no class ids'), 'list.txt:3: no class ids'),
    (InputError('class `X` in group_wsss/a.py: class `Y` in b/c.py: bad k'),
     'bad k'),
    (FileNotFoundError(errno.ENOENT, 'No such file',
                       'a/b.jpg'), 'a/b.jpg: no such file or folder'),
    (OSError(errno.ENOSPC, 'No space left on device',
             'out/x.png'), 'out/x.png: No space left on device'),
    (PermissionError(errno.EACCES, 'denied', 'out'), 'out: Permission denied'),
    (ImportError('x/_ext.so: undefined symbol: _ZN2at4'),
     'x/_ext.so: compiled for another torch; uninstall this library and '
     'install it for the torch that is here'),
])
def test_input_errors_are_one_line(error, line, capsys):
    status, err = outcome(fail_with(error), capsys)
    assert status == 2
    assert err == f'error: {line}\n'


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('error, line', [
    (InputError('a.jpg: truncated'), 'a.jpg: truncated'),
    (FileNotFoundError(errno.ENOENT, 'No such file', 'b.png'), 'b.png'),
])
def test_errors_of_loader_workers(error, line, workers, capsys):

    def main():
        next(iter(DataLoader(Broken(error), num_workers=workers)))

    status, err = outcome(main, capsys)
    assert status == 2
    assert err.startswith('error: ') and err.count('\n') == 1
    assert line in err


def test_interruption(capsys):
    status, err = outcome(fail_with(KeyboardInterrupt()), capsys)
    assert status == 130
    assert 'again' in err


@pytest.mark.parametrize(
    'error',
    [ValueError('a bug'), KeyError('x'),
     AssertionError()])
def test_bugs_keep_their_traceback(error):
    with pytest.raises(type(error)):
        cli.run(fail_with(error))


def test_only_the_failing_rank_speaks(monkeypatch, capsys):
    waited = []
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setattr(cli.time, 'sleep', waited.append)
    status, err = outcome(fail_with(InputError('bad list')), capsys)
    assert (status, err) == (2, 'error: rank 1: bad list\n')
    assert waited == [5]
    with pytest.raises(RuntimeError):
        cli.run(fail_with(RuntimeError('Connection closed by peer')))
    assert waited == [5, 5]


def test_what_others_say():
    assert describe(ValueError(' one\ntwo')) == 'ValueError: one'
    assert describe(KeyError()) == 'KeyError'


def test_hooks_of_a_config():
    cfg = Config(
        dict(
            default_hooks=dict(a=dict(type='group_wsss.X', n=1), b=None),
            custom_hooks=[dict(type='X', n=2),
                          dict(type='XY')]))
    assert [hook.n for hook in hooks_of(cfg, 'X')] == [1, 2]
    assert hooks_of(Config(dict()), 'X') == []


def options(**kwargs):
    values = dict(
        cfg_options=None, work_dir=None, launcher='none', local_rank=0)
    return argparse.Namespace(**{**values, **kwargs})


def test_work_dir_priority(tmp_path):
    plain, named = tmp_path / 'plain.py', tmp_path / 'named.py'
    plain.write_text('a = dict(b=1)\n')
    named.write_text("work_dir = 'from_config'\n")
    cfg = cli.load_config(options(config=str(plain), cfg_options={'a.b': 2}))
    assert (cfg.work_dir, cfg.a.b) == ('./work_dirs/plain', 2)
    assert cli.load_config(
        options(config=str(named))).work_dir == 'from_config'
    assert cli.load_config(options(config=str(named),
                                   work_dir='w')).work_dir == 'w'


@pytest.mark.parametrize('changes, message', [
    ({'custom_hooks.0.keep_scores': True}, "custom_hooks={'0': "),
    ({'custom_hooks': [5]}, 'custom_hooks.0=5 must be settings by name'),
    ({'custom_hooks': 5}, 'custom_hooks=5 must be a list of hooks'),
    ({'default_hooks': 5}, 'default_hooks=5 must be'),
    ({'default_hooks.logger': 5}, 'default_hooks.logger=5 must be'),
    ({'model': 5}, 'model=5 must be settings by name'),
    ({'param_scheduler': 5}, 'param_scheduler=5 must be'),
    ({'train_dataloader': 5}, 'train_dataloader=5 must be'),
    ({'param_scheduler.9.end': 1}, '--cfg-options: .*Index 9 exceeds'),
    ({'max_iters.end': 1}, '--cfg-options: max_iters='),
])  # yapf: disable
def test_sections(tmp_path, changes, message):
    """Options that make no section of a section name their key."""
    plain = tmp_path / 'plain.py'
    plain.write_text('max_iters = 3\nmodel = dict()\n'
                     'default_hooks = dict(logger=dict(), timer=None)\n'
                     'param_scheduler = [dict(end=3)]\n')
    cli.load_config(options(config=str(plain)))
    with pytest.raises(InputError, match=message):
        cli.load_config(options(config=str(plain), cfg_options=changes))


@pytest.mark.parametrize('change, word', [
    (dict(data_root='nowhere'), 'dataset.data_root'),
    (dict(ann_file='none.txt'), 'dataset.ann_file'),
    (dict(data_prefix=dict(img_path='no')), 'dataset.data_prefix.img_path'),
    (dict(data_prefix=dict(seg_map_path='no')), 'data_prefix.seg_map_path'),
])
def test_check_data(tiny_voc, change, word):
    good = dict(
        data_root=str(tiny_voc),
        ann_file='ImageSets/Segmentation/train.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'))
    cfg = Config(dict(train_dataloader=dict(dataset=good)))
    data_flags.check_data(cfg, ['train_dataloader', 'val_dataloader'])
    wrapped = dict(type='GroupedDataset', dataset={**good, **change})
    for dataset in ({**good, **change}, wrapped):
        cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
        with pytest.raises(InputError, match=word):
            data_flags.check_data(cfg, ['train_dataloader'])
