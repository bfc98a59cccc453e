# Copyright (c) group_wsss contributors. All rights reserved.
"""Flags stand for the variables that our configs read."""
import argparse
import os

import pytest

from group_wsss.utils import cli
from group_wsss.utils.data_flags import add_data_flags, check_data
from group_wsss.utils.errors import InputError

TEXT = '''
data_root = '{{$DATA_ROOT:none}}'
train_list = '{{$TRAIN_LIST:none}}'
train_dataloader = dict(dataset=dict(
    data_root=data_root, ann_file=train_list))
val_dataloader = None
'''


@pytest.fixture
def load(tmp_path, monkeypatch):
    (tmp_path / 'config.py').write_text(TEXT)
    for name in ('DATA_ROOT', 'TRAIN_LIST', 'PSEUDO_DIR'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        parser = argparse.ArgumentParser()
        parser.add_argument('config')
        add_data_flags(parser)
        parser.set_defaults(cfg_options=None, work_dir=None)
        return cli.load_config(parser.parse_args(['config.py', *words]))

    return run


def test_a_flag_is_a_variable(load, monkeypatch):
    monkeypatch.setenv('TRAIN_LIST', 'variable.txt')
    cfg = load('--data', 'there')
    assert (cfg.data_root, cfg.train_list) == ('there', 'variable.txt')
    assert 'DATA_ROOT' not in os.environ
    assert load('--list', 'flag.txt').train_list == 'flag.txt'


def test_a_list_is_a_path_or_beside_the_images(load, tmp_path):
    (tmp_path / 'here.txt').write_text('')
    (tmp_path / 'data').mkdir()
    assert load('--data', 'data', '--list',
                'here.txt').train_list == str(tmp_path / 'here.txt')
    (tmp_path / 'data/here.txt').write_text('')
    with pytest.raises(InputError, match='--list here.txt: is .* and '):
        load('--data', 'data', '--list', 'here.txt')


def test_a_flag_that_the_config_does_not_read(load, tmp_path):
    with pytest.raises(InputError, match='--labels: config.py does not read'):
        load('--labels', 'x')
    # a --list of another tool is none of ours
    (tmp_path / 'plain.py').write_text('refiners = []\n')
    args = argparse.Namespace(
        config='plain.py', cfg_options=None, list='some_ids.txt')
    assert cli.load_config(args).refiners == []


def test_what_is_missing_names_its_flag(load, tmp_path):
    with pytest.raises(InputError, match='none: .*--data, or set DATA_ROOT'):
        check_data(load(), ['train_dataloader'])
    with pytest.raises(InputError, match='--list, or set TRAIN_LIST'):
        check_data(load('--data', '.'), ['train_dataloader'])
    # stage 1 labels what it was trained on, stage 2 is tested on others
    text = TEXT + "test_dataloader = dict(dataset=dict(ann_file='x'))\n"
    for more, words in (('', '--list, or set TRAIN_LIST'),
                        ("v = '{{$VAL_LIST:none}}'",
                         '--val-list, or set VAL')):
        (tmp_path / 'config.py').write_text(text + more)
        with pytest.raises(InputError, match=words):
            check_data(load(), ['test_dataloader'])
