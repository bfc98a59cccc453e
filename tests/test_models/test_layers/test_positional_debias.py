# Copyright (c) group_wsss contributors. All rights reserved.
"""Features without what tells the place, alone and as keys of a graph."""
import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from group_wsss.models import CoAttention, CoAttentionGNN, PositionalDebias
from group_wsss.models.classifiers.token_graph import TokenGraph
from group_wsss.utils.errors import InputError

HEIGHT, WIDTH, CHANNELS = 5, 6, 12


def test_projection_of_plain_numpy():
    layer = PositionalDebias(CHANNELS, rank=4)
    x = torch.randn(1, CHANNELS, HEIGHT, WIDTH)
    layer.fit(x)
    rows = x[0].flatten(1).double().numpy()
    rows = rows / np.linalg.norm(rows, axis=0)
    rows = rows - rows.mean(axis=1, keepdims=True)
    u = np.linalg.svd(rows)[0][:, :4]
    projection = np.eye(CHANNELS) - u @ u.T
    maps = torch.randn(2, CHANNELS, 3, 4)
    once = layer(maps)
    expected = np.einsum('dc,bchw->bdhw', projection, maps.numpy())
    np.testing.assert_allclose(once, expected, atol=1e-5)
    torch.testing.assert_close(layer(once), once)  # P P = P
    assert layer(maps.bfloat16()).dtype == torch.bfloat16


def test_removes_places_and_leaves_classes():
    axes = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS))[0].T
    # what a position gives by its place alone
    places = torch.stack(
        torch.meshgrid(
            torch.linspace(-1, 1, HEIGHT),
            torch.linspace(-1, 1, WIDTH),
            indexing='ij'))
    place = torch.einsum('kc,khw->chw', axes[:2], places)[None]
    # the whole rank is allowed: an image of one colour has but two ramps,
    # and a third direction from making its features of one length
    layer = PositionalDebias(CHANNELS, rank=CHANNELS - 1)
    layer.fit(place + 10 * axes[2][:, None, None])
    things = torch.einsum('kc,bkhw->bchw', axes[3:5],
                          torch.randn(2, 2, HEIGHT, WIDTH))
    torch.testing.assert_close(layer(things + 3 * place), things)
    assert int((layer.basis.norm(dim=0) > 0.5).sum()) == 3
    # what it took out is in the checkpoint
    other = PositionalDebias(CHANNELS, rank=CHANNELS - 1)
    with pytest.raises(InputError, match='image of one colour'):
        other(things)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(things), layer(things))


def test_changes_keys_not_values():
    layer = CoAttention(CHANNELS, 4, debias=dict(rank=2))
    plain = CoAttention(CHANNELS, 4)
    layer.debias.fit(torch.randn(1, CHANNELS, HEIGHT, WIDTH))
    plain.load_state_dict(layer.state_dict(), strict=False)
    basis = layer.debias.basis
    for conv in (plain.query, plain.key):
        conv.weight.data[:, :, 0, 0] @= torch.eye(CHANNELS) - basis @ basis.T
    nodes = torch.randn(1, 3, CHANNELS, HEIGHT, WIDTH)
    torch.testing.assert_close(layer(nodes), plain(nodes))
    assert plain.key_input(nodes) is nodes


def model(make, debias, key='contrast', freeze_backbone=True):
    attention = dict(key=key, debias=debias)
    return make.cam(
        make.mixed(attention),
        freeze_backbone=freeze_backbone,
        data_preprocessor=dict(mean=[100.] * 3, std=[50.] * 3)).train()


def step(make, net, k):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(
        0, 255, (4, 3, 16, 16), generator=generator, dtype=torch.uint8)
    data = dict(inputs=images, data_samples=make.samples(k))
    return net(**net.data_preprocessor(data), mode='loss')


def test_one_image_is_as_without(make):
    with_it, without = model(make, dict(rank=3)), model(make, None)
    torch.testing.assert_close(
        step(make, with_it, 1), step(make, without, 1), rtol=0, atol=0)
    assert not with_it.neck.coattention.debias.fitted


@pytest.mark.parametrize('key', ['contrast', 'whitened', 'learned'])
def test_black_image_is_shown_once(make, key):
    net = model(make, dict(rank=3), key)
    shown = []
    net.backbone.register_forward_hook(
        lambda module, inputs, output: shown.append(inputs[0]))
    losses = step(make, net, 2)
    step(make, net, 2)
    # batch, black image, batch
    assert [len(x) for x in shown] == [4, 1, 4]
    torch.testing.assert_close(shown[1], torch.full((1, 3, 16, 16), -2.0))
    layer = net.neck.coattention.debias
    again = PositionalDebias(8, 3)
    again.fit(net.backbone(shown[1]).detach())
    torch.testing.assert_close(again.basis, layer.basis)
    torch.testing.assert_close(layer.basis.norm(dim=0), torch.ones(3))
    assert ('loss_contrast' in losses) == (key == 'contrast')
    assert all(torch.isfinite(value) for value in losses.values())
    if key == 'learned':
        return
    # statistics are those of what is left
    spread = net.neck.coattention.whiten.covariance.double()
    assert float((spread @ layer.basis.double()).abs().max()) < 1e-5
    # tokens of a bank have the same keys
    net.eval()
    image = torch.rand(1, 3, 32, 32)
    own, = TokenGraph(None, 4, False).own_maps(net, image, [DataSample()])
    keys = net.neck.coattention.whiten(layer(net.backbone_maps(image)[0]))
    torch.testing.assert_close(own[:4], keys[0])


def test_bad_options(make):
    for rank in (0, 12, -1):
        with pytest.raises(InputError, match='rank of PositionalDebias'):
            PositionalDebias(12, rank)
    with pytest.raises(InputError, match='leaves 5 of 12 .*key_channels=6'):
        CoAttention(12, 6, key='whitened', debias=dict(rank=7))
    for other in (dict(channels=8), dict(projection=dict(num_convs=1))):
        with pytest.raises(InputError, match='debias of CoAttentionGNN'):
            CoAttentionGNN(
                12,
                coattention=dict(key_channels=4, debias=dict(rank=2)),
                **other)
    with pytest.raises(InputError, match='freeze_backbone=True'):
        step(make, model(make, dict(rank=3), freeze_backbone=False), 2)
