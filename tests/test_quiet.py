# Copyright (c) group_wsss contributors. All rights reserved.
"""The terminal has what a person reads, the log file everything."""
import logging
import warnings
from pathlib import Path

import pytest
from mmengine import logging as library

from group_wsss.utils.quiet import hide_on_terminal, quieten

STAGE1 = Path(__file__).parent / 'configs' / 'tiny_group_cam.py'
DETAILS = ('System environment', 'Config:', 'Hooks will be executed', 'neck.')


@pytest.fixture
def as_loud_as_before(monkeypatch):
    """Filters and functions of this process go back."""
    monkeypatch.setattr(library, 'print_log', library.logger.print_log)
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        yield


def test_a_training(call_tool, tiny_voc, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('DATA_ROOT', str(tiny_voc))
    call_tool('train', STAGE1, '--work-dir', tmp_path)
    out, err = capsys.readouterr()
    log, = tmp_path.glob('*/*.log')
    kept = log.read_text()
    for words in DETAILS:
        assert words in kept and words not in out + err
    lines = [line.partition(' - INFO - ')[2] for line in out.splitlines()]
    assert lines[0] == (
        f'config {STAGE1}, data {tiny_voc}/ImageSets/train_cls.txt, '
        f'work dir {tmp_path}, log {log}')
    for words in ('Iter(train) [1/2]', 'training is over', 'Next:',
                  '8 label images in'):
        assert words in out and words in kept
    assert len(lines) < 40 < len(kept.splitlines())


def test_details_where_they_are_asked_for(tmp_path, capsys):
    for level, seen in (('INFO', False), ('DEBUG', True)):
        logger = library.MMLogger(level, log_level=level)
        hide_on_terminal(logger)
        logger.info('Config:\nx = 1')
        logger.info('what the user reads')
        logger.warning('Config: of no such beginning')
        out = capsys.readouterr().out
        assert ('x = 1' in out) == seen
        assert 'the user reads' in out and 'no such beginning' in out


@pytest.mark.parametrize('text, shown', [
    ('\n' + 60 * '-' + '\nSystem environment:\n', False),
    ('\nneck.x.weight - torch.Size([1, 2]): \nPretrainedInit', False),
    ('paramwise_options -- backbone.bn.weight:weight_decay=0.0', False),
    ('backbone.conv.weight is skipped since its requires_grad=False', False),
    ('"FileClient" will be deprecated in future. Please use', False),
    ('The prefix is not set in metric class CheckedIoUMetric.', False),
    ('Saving checkpoint at 2 iterations', True),
    ('Iter(train) [1/2]  lr: 1.5000e-04  eta: 0:00:16', True),
    ('per class results:', True),
    ('resumed epoch: 0, iter: 4', True),
])
def test_what_is_shown(text, shown, capsys):
    logger = library.MMLogger('shown')
    hide_on_terminal(logger)
    logger.warning(text)
    assert (text.strip() in capsys.readouterr().out) == shown
    logger.error(text)
    assert text.strip() in capsys.readouterr().out


def test_before_a_log_file_is_there(as_loud_as_before, capsys):
    # one that writes to where this test reads
    library.MMLogger.get_instance('test_before_a_log_file_is_there')
    library.print_log('Could not import X', level=logging.DEBUG)
    assert 'X' in capsys.readouterr().out
    quieten()
    wrapper = library.print_log
    quieten()
    assert library.print_log is wrapper  # once is enough
    with warnings.catch_warnings(record=True) as seen:
        warnings.warn('Fail to import ``MultiScaleDeformableAttention`` from')
        warnings.warn('a warning of ours')
    assert [str(warning.message) for warning in seen] == ['a warning of ours']
    library.print_log('Could not import X', level=logging.DEBUG)
    library.print_log('Loads checkpoint by file backend from path: x')
    library.print_log('Using env variable `A`', 'current')
    library.print_log('\nhead.weight - torch.Size([1]): \nNormalInit',
                      'current')
    assert capsys.readouterr().out == ''
    library.print_log('a word')
    library.print_log('a line of ours', 'current')
    assert 'a word' in (out := capsys.readouterr().out)
    assert 'a line of ours' in out
