# Copyright (c) group_wsss contributors. All rights reserved.
"""Vision transformers of timm: DINOv2 and DINOv3, random and small."""
import re
import sys

import pytest
import torch
from mmengine.registry import MODELS

from group_wsss.engine.supervision import model_supervision
from group_wsss.utils.checkpoint import use_safe_loading
from group_wsss.utils.errors import InputError

timm = pytest.importorskip('timm', '1.0.20')
V2, V3 = 'vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3'


def build(model_name=V2, **kwargs):
    torch.manual_seed(0)
    net = MODELS.build(
        dict(
            type='group_wsss.TIMMTransformer',
            model_name=model_name,
            depth=2,
            **kwargs))
    net.eval()
    return net


def spread(net):
    """Weights that make every token count."""
    for value in net.parameters():
        value.data.normal_(0, 0.05)
    return net


@pytest.mark.parametrize('name, patch', [(V2, 14), (V3, 16)])
def test_patches_stand_where_they_were(name, patch):
    net = spread(build(name))
    x = torch.rand(2, 3, 2 * patch, 3 * patch)
    with torch.no_grad():
        found, = net(x)
        tokens = net.timm_model.forward_features(x)
    assert found.shape == (2, 384, 2, 3)
    # one class token and four registers stand in front
    assert tokens.shape == (2, 5 + 6, 384)
    for row in range(2):
        for column in range(3):
            torch.testing.assert_close(found[:, :, row, column],
                                       tokens[:, 5 + 3 * row + column])
    assert model_supervision(net) == 'ID'
    with pytest.raises(
            InputError, match=f'{name} .*{patch} x {patch} .* 112 x 120'):
        net(torch.rand(1, 3, 112, 120))
    assert model_supervision(build(supervision='')) == 'I'


def of_authors(own):
    """DINOv2 with registers as Meta names it: positions with one more."""
    theirs = dict(own, mask_token=torch.zeros(1, 384))
    theirs['register_tokens'] = theirs.pop('reg_token')
    offset = torch.full((1, 1, 384), 0.25)
    theirs['pos_embed'] = torch.cat([offset, own['pos_embed']], 1)
    theirs['cls_token'] = own['cls_token'] - 0.25
    return theirs


@pytest.mark.parametrize('of', ['timm', 'authors', 'safetensors'])
def test_weights_of_others(of, tmp_path):
    use_safe_loading()
    source = spread(build())
    weights = source.timm_model.state_dict()
    path = tmp_path / ('w.safetensors' if of == 'safetensors' else 'w.pth')
    if of == 'safetensors':
        pytest.importorskip('safetensors.torch').save_file(weights, path)
    else:
        torch.save(weights if of == 'timm' else of_authors(weights), path)
    net = build(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    net.init_weights()
    for key, value in net.timm_model.state_dict().items():
        torch.testing.assert_close(value, weights[key])
    # a checkpoint of ours, too
    other = build()
    other.load_state_dict(net.state_dict())
    x = torch.rand(1, 3, 28, 28)
    torch.testing.assert_close(other(x), source(x))


def test_dinov3_of_its_authors(capsys):
    source = spread(build(V3))
    theirs = {
        key.replace('reg_token', 'storage_tokens').replace(
            'gamma_1', 'ls1.gamma').replace('gamma_2', 'ls2.gamma'):
        value
        for key, value in source.timm_model.state_dict().items()
    }
    theirs['rope_embed.periods'] = torch.ones(16)
    theirs['blocks.0.attn.qkv.bias'] = torch.zeros(1152)
    assert 'storage_tokens' in theirs and 'blocks.1.ls1.gamma' in theirs
    net = build(V3)
    net.load_state_dict(theirs, strict=False)
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(net(x), source(x))
    assert 'q_bias' not in capsys.readouterr().out


def test_other_weights_are_refused(tmp_path):
    use_safe_loading()
    weights = build(V3).timm_model.state_dict()
    path = str(tmp_path / 'w.pth')
    init = dict(type='Pretrained', checkpoint=path)
    for wrong, fault in ((weights, 'is missing, must be'),
                         (dict(x=torch.ones(2)), 'cls_token is missing'),
                         (build(embed_dim=192).timm_model.state_dict(),
                          r'cls_token is \(1, 1, 192\), must be')):
        torch.save(wrong, path)
        with pytest.raises(
                InputError, match=f'{re.escape(path)}: .*{V2}.*{fault}'):
            build(init_cfg=init).init_weights()


def test_timm_must_know_it(monkeypatch):
    for name in ('vit_small_patch15_dinov9', 'resnet18'):
        with pytest.raises(InputError, match=f'{name}.*timm>='):
            MODELS.build(
                dict(type='group_wsss.TIMMTransformer', model_name=name))
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(InputError, match='pip install timm'):
        build()
