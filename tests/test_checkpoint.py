# Copyright (c) group_wsss contributors. All rights reserved.
import os
import pickle
import re
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import initialize
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader
from torch import nn

from group_wsss.engine.hooks import SafeLoadingHook
from group_wsss.utils.checkpoint import load_from_file, use_safe_loading
from group_wsss.utils.errors import InputError
from group_wsss.utils.weights import load_weights

NO_LOOPS = dict(_train_loop=None, _val_loop=None, _test_loop=None)


class Call:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def make_file(path):
    path.write_text('executed')


def full_checkpoint():
    """What a Runner saves."""
    hub = MessageHub('checkpoint')
    hub.update_scalar('train/loss', 1.5)
    hub.update_scalar('train/lr', np.float64(.1))
    hub.update_info('iter', 3)
    hub.update_info('best', np.float32(2))
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optim = torch.optim.AdamW(model.parameters())
    model(torch.rand(4, 3)).sum().backward()
    optim.step()
    return dict(
        state_dict=model.state_dict(),
        optimizer=optim.state_dict(),
        message_hub=hub.state_dict(),
        meta=dict(epoch=1, seed=np.int64(3), names=('a', 'b')),
        half=torch.rand(2).bfloat16(),
        parameter=nn.Parameter(torch.rand(2)),
        dtype=torch.float16,
        array=np.arange(3.))


@pytest.mark.parametrize('zipped', [True, False])
def test_runner_checkpoint_loads(tmp_path, zipped):
    saved, path = full_checkpoint(), str(tmp_path / 'a.pth')
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    use_safe_loading()
    loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    for key, value in saved['state_dict'].items():
        assert torch.equal(loaded['state_dict'][key], value)
    history = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer) and history.mean() == 1.5
    assert loaded['meta'] == saved['meta']
    assert loaded['dtype'] is torch.float16
    assert np.array_equal(loaded['array'], saved['array'])


def payloads(target):
    yield Call(make_file, target)
    yield Call(os.system, f'touch {target}')
    yield Call(eval, f"open({str(target)!r}, 'w')")
    # climb from an allowed function to its globals
    yield Call(getattr, torch._utils._rebuild_tensor_v2, '__globals__')
    # a method of anything but what mmengine saves
    yield Call(getattr, torch.Tensor, 'max')
    yield Call(torch.load, str(target))
    yield Call(torch.storage._load_from_bytes, b'')


@pytest.mark.parametrize('number', range(7))
@pytest.mark.parametrize('kind', ['zip', 'legacy', 'pickle'])
def test_code_is_not_executed(tmp_path, number, kind):
    target, path = tmp_path / 'executed', tmp_path / 'evil.pth'
    evil = list(payloads(target))[number]
    if kind == 'pickle':
        path.write_bytes(pickle.dumps(evil))
    else:
        torch.save(
            dict(state_dict=dict(a=torch.zeros(1)), meta=evil),
            path,
            _use_new_zipfile_serialization=kind == 'zip')
    with pytest.raises(InputError, match='evil.pth: not loaded') as caught:
        load_from_file(str(path))
    assert '\n' not in str(caught.value)
    assert not target.exists()


def test_archives_with_programs(tmp_path):
    program = str(tmp_path / 'program.pt')
    torch.jit.script(nn.ReLU()).save(program)
    with pytest.raises(InputError, match='TorchScript'):
        load_from_file(program)
    tar = str(tmp_path / 'old.tar')
    with tarfile.open(tar, 'w') as archive:
        archive.add(program, 'storages')
    with pytest.raises(InputError, match='tar archive'):
        load_from_file(tar)


@pytest.mark.parametrize('content, words', [
    (None, 'no such checkpoint'),
    (b'', 'cannot be read'),
    (b'<html>404</html>', 'cannot be read'),
    ('truncated', 'cannot be read'),
])
def test_files_that_are_none(tmp_path, content, words):
    path = tmp_path / 'x.pth'
    if content == 'truncated':
        torch.save(full_checkpoint(), path)
        content = path.read_bytes()[:1000]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f'x.pth: {words}') as caught:
        load_from_file(str(path))
    assert '\n' not in str(caught.value)


def check(model, weights):
    load_weights(model, dict(state_dict=weights), 'x.pth')


@pytest.mark.parametrize('wrapper, resume', [
    (dict(), False),
    (OptimWrapper, True),
])
def test_hook(wrapper, resume):
    """A test and a resumed training need all weights, a new one does not."""
    model = nn.Linear(2, 2)
    if wrapper:
        wrapper = wrapper(torch.optim.SGD(model.parameters(), 1))
    runner = SimpleNamespace(
        model=model,
        optim_wrapper=wrapper,
        cfg=dict(resume=resume, load_from='x.pth'),
        **NO_LOOPS)
    with pytest.raises(InputError, match='x.pth: does not fit'):
        SafeLoadingHook().after_load_checkpoint(runner, dict(state_dict={}))
    if wrapper:  # and so does a new one that says so
        runner.cfg['resume'] = False
        half = dict(state_dict=dict(weight=torch.ones(2, 2)))
        SafeLoadingHook().after_load_checkpoint(runner, half)
        with pytest.raises(InputError, match='x.pth: does not fit'):
            SafeLoadingHook(strict=True).after_load_checkpoint(runner, half)


@pytest.mark.parametrize('names, words', [
    (('weight', 'bias', 'more'), None),
    (('weight', ), '1 of 2 weights of the model are taken .* first bias'),
    (('weight', 'bias.'), '1 of 2 weights'),
    (('fc.weight', 'fc.bias'), None),
    ((), None),
])
@pytest.mark.parametrize('road', ['load_from', 'Pretrained', 'prefix'])
def test_weights_that_fit_in_part(tmp_path, monkeypatch, road, names, words):
    """None is refused, some are counted."""
    said, model = [], nn.Linear(2, 2)
    monkeypatch.setattr('group_wsss.utils.weights.print_log',
                        lambda text, **_: said.append(text))
    good = dict(weight=torch.ones(2, 2), bias=torch.ones(2))
    weights = {name: good.get(name, torch.ones(3)) for name in names}
    path = str(tmp_path / 'x.pth')
    hook = SafeLoadingHook()

    def load():
        if road == 'load_from':
            wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 1))
            runner = SimpleNamespace(
                model=model,
                optim_wrapper=wrapper,
                cfg=dict(load_from=path),
                **NO_LOOPS)
            hook.after_load_checkpoint(runner, dict(state_dict=weights))
            return
        prefix = 'backbone' if road == 'prefix' else None
        torch.save(
            {
                (f'{prefix}.{k}' if prefix else k): v
                for k, v in weights.items()
            }, path)
        initialize(model,
                   dict(type='Pretrained', checkpoint=path, prefix=prefix))

    if 'weight' not in names:
        with pytest.raises(InputError, match='x.pth: none of its weights is'):
            load()
        return
    load()
    assert torch.equal(model.weight.data, good['weight'])
    assert bool(said) == (words is not None)
    assert words is None or re.search(words, said[0])


def test_state_dict_check():
    model = nn.Sequential(nn.Conv2d(3, 7, 1), nn.BatchNorm2d(7))
    good = model.state_dict()
    check(model, good)
    check(model, {f'module.{key}': value for key, value in good.items()})
    check(model, {**good, 'auxiliary.weight': torch.zeros(1)})
    few = {k: v for k, v in good.items() if 'num_batches' not in k}
    check(model, few)
    other = {**good, '0.weight': torch.zeros(20, 3, 1, 1)}
    with pytest.raises(InputError) as caught:
        check(model, other)
    assert str(caught.value) == (
        'x.pth: does not fit the config: 0.weight is (20, 3, 1, 1) in the '
        'checkpoint and (7, 3, 1, 1) in the model')
    few.pop('0.bias')
    with pytest.raises(InputError, match='0.bias is not in the checkpoint'):
        check(model, few)
