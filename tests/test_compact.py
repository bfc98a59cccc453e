# Copyright (c) group_wsss contributors. All rights reserved.
"""Compact weights: what is left out must be what the config brings."""
import pytest
import torch
import torch.nn as nn

from group_wsss.utils.checkpoint import load_from_file
from group_wsss.utils.compact import write_compact
from group_wsss.utils.errors import InputError
from group_wsss.utils.weights import checkpoint_classes, load_weights


class Net(nn.Module):

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = nn.Conv2d(3, 4, 1)
        torch.manual_seed(seed + 10)
        self.head = nn.Conv2d(4, 2, 1)
        self.register_buffer('statistics', torch.randn(3))
        self.register_buffer('steps', torch.tensor(70000))


@pytest.fixture
def path(tmp_path):
    out = str(tmp_path / 'net.safetensors')
    write_compact(
        out, Net().state_dict(), ('cat', 'dog'), unused=('statistics', ))
    return out


def test_what_is_kept_is_loaded(path):
    checkpoint = load_from_file(path)
    assert set(
        checkpoint['state_dict']) == {'head.weight', 'head.bias', 'steps'}
    assert checkpoint_classes(checkpoint) == ('cat', 'dog')
    net = Net()
    nn.init.zeros_(net.head.weight)
    statistics = net.statistics.clone()
    load_weights(net, checkpoint, path)
    wanted = Net().head.weight.half().float()
    assert torch.equal(net.head.weight, wanted)
    assert net.steps == 70000  # no float16 would hold it
    assert torch.equal(net.statistics, statistics)


def test_another_backbone_is_refused(path):
    with pytest.raises(InputError, match='other weights of backbone'):
        load_weights(Net(seed=1), load_from_file(path), path)


def test_other_missing_weights_are_refused(path):
    net = Net()
    net.neck = nn.Conv2d(1, 1, 1)
    with pytest.raises(InputError, match='neck.weight is not in the'):
        load_weights(net, load_from_file(path), path)


def test_a_damaged_file_is_named(path):
    with open(path, 'r+b') as file:
        file.truncate(40)
    with pytest.raises(InputError, match='net.safetensors: cannot be read'):
        load_from_file(path)


def test_the_tool_writes_what_a_checkpoint_holds(call_tool, tmp_path, capsys):
    given, out = tmp_path / 'a.pth', tmp_path / 'a.safetensors'
    meta = dict(dataset_meta=dict(classes=('cat', 'dog')))
    torch.save(dict(state_dict=Net().state_dict(), meta=meta), given)
    call_tool('misc/compact_weights', given, out, '--unused', 'statistics')
    checkpoint = load_from_file(str(out))
    assert set(
        checkpoint['state_dict']) == {'head.weight', 'head.bias', 'steps'}
    assert checkpoint_classes(checkpoint) == ('cat', 'dog')
    assert str(out) in capsys.readouterr().out
