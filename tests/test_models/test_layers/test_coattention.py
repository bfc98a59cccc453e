# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS

from group_wsss.models import CoAttention
from group_wsss.utils.errors import InputError


def plain_message(layer, receiver, sender, valid=None):
    """One message by einsum and softmax; receiver ``(C, H, W)``."""

    def project(conv, x):
        out = torch.einsum('dc,chw->dhw', conv.weight[:, :, 0, 0], x)
        if conv.bias is not None:
            out = out + conv.bias[:, None, None]
        if layer.normalize:
            out = out / out.norm(dim=0, keepdim=True)
        return out.flatten(1)

    score = torch.einsum('dn,dm->nm', project(layer.query, receiver),
                         project(layer.key, sender)) * layer.scale
    if valid is not None:
        score = score.masked_fill(~valid.flatten()[None], -torch.inf)
    weight = score.softmax(1)
    message = torch.einsum('nm,cm->cn', weight, sender.flatten(1))
    message = message.view_as(sender)
    if layer.gate is not None:
        gate = torch.einsum('oc,chw->ohw', layer.gate.weight[:, :, 0, 0],
                            message)
        message = torch.sigmoid(gate) * message
    return message


@pytest.mark.parametrize('options', [
    dict(),
    dict(gate=False),
    dict(normalize=True, scale=10.0),
    dict(key_channels=3, bias=True, scale=0.5),
    dict(key_channels=9),
    dict(self_edge=True),
])
@pytest.mark.parametrize('masked', [False, True])
def test_against_loop(options, masked):
    torch.manual_seed(0)
    layer = CoAttention(6, **options).double()
    nodes = torch.randn(2, 4, 6, 3, 5, dtype=torch.double)
    mask = None
    if masked:
        mask = torch.rand(2, 4, 3, 5) > 0.4
        mask[..., 0, 0] = True
    out = layer(nodes, mask)
    for g in range(2):
        for i in range(4):
            senders = [
                j for j in range(4) if options.get('self_edge') or j != i
            ]
            assert out.shape[2] == len(senders)
            for s, j in enumerate(senders):
                want = plain_message(layer, nodes[g, i], nodes[g, j],
                                     mask[g, j] if masked else None)
                torch.testing.assert_close(out[g, i, s], want)


def test_messages_are_convex_combinations():
    layer = CoAttention(4, gate=False)
    nodes = torch.randn(1, 2, 4, 3, 3)
    out = layer(nodes)
    high = nodes[0, 1].flatten(1).amax(1)[:, None, None]
    low = nodes[0, 1].flatten(1).amin(1)[:, None, None]
    assert ((out[0, 0, 0] <= high + 1e-5) & (out[0, 0, 0] >= low - 1e-5)).all()


def test_gradcheck():
    torch.manual_seed(0)
    layer = CoAttention(4).double()
    nodes = torch.randn(1, 3, 4, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(layer, nodes)


@pytest.mark.parametrize('group_size', [2, 5])
def test_one_attention_call(monkeypatch, group_size):
    calls = []
    attention = F.scaled_dot_product_attention

    def count(*args, **kwargs):
        calls.append(args[0].shape)
        return attention(*args, **kwargs)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', count)
    CoAttention(4)(torch.randn(3, group_size, 4, 2, 3))
    assert calls == [(3 * group_size, group_size - 1, 6, 4)]


def plain_group_message(layer, nodes, receiver, senders, mask=None):
    """One softmax over the positions of all senders; nodes (K, C, H, W)."""
    if layer.whiten is None:
        queries, keys = layer.query(nodes), layer.key(nodes)
    else:
        queries = keys = layer.whiten(nodes)
    if layer.normalize:
        queries, keys = (
            x / x.norm(dim=1, keepdim=True) for x in (queries, keys))
    query = queries[receiver].flatten(1)
    scores, values = [], []
    for j in senders:
        score = torch.einsum('dn,dm->nm', query, keys[j].flatten(1))
        score = score * layer.scale
        if mask is not None:
            score[:, ~mask[j].flatten()] = -torch.inf
        scores.append(score)
        values.append(nodes[j].flatten(1))
    weight = torch.cat(scores, 1).exp()
    weight = weight / weight.sum(1, keepdim=True)
    message = torch.einsum('nm,cm->cn', weight, torch.cat(values, 1))
    message = message.view_as(nodes[0])
    if layer.gate is not None:
        gate = layer.gate(message[None])[0]
        message = message / (1 + torch.exp(-gate))
    return message


@pytest.mark.parametrize('options', [
    dict(),
    dict(gate=False, normalize=True, scale=7.0),
    dict(self_edge=True, key_channels=9, bias=True),
    dict(key='whitened', normalize=True, scale=5.0),
    dict(key='whitened', key_channels=6, self_edge=True, gate=False),
])
@pytest.mark.parametrize('masked', [False, True])
def test_group_softmax_against_loop(options, masked):
    torch.manual_seed(0)
    layer = CoAttention(6, softmax='group', **options).double()
    nodes = torch.randn(2, 4, 6, 3, 5, dtype=torch.double)
    if layer.whiten is not None:
        layer(nodes)
    layer.eval()
    mask = None
    if masked:
        mask = torch.rand(2, 4, 3, 5) > 0.4
        mask[..., 0, 0] = True
    out = layer(nodes, mask)
    assert out.shape == (2, 4, 1, 6, 3, 5)
    for g in range(2):
        for i in range(4):
            senders = [
                j for j in range(4) if options.get('self_edge') or j != i
            ]
            want = plain_group_message(layer, nodes[g], i, senders,
                                       mask[g] if masked else None)
            torch.testing.assert_close(out[g, i, 0], want)


def test_stranger_is_not_heard():
    nodes = torch.zeros(1, 3, 4, 2, 2)
    nodes[0, :2, 0] = 1  # two alike, one that is not
    nodes[0, 2, 1] = 1
    options = dict(key_channels=4, gate=False, normalize=True, scale=40.0)
    for softmax, share in (('group', 1.0), ('sender', 0.5)):
        layer = CoAttention(4, softmax=softmax, **options)
        for conv in (layer.query, layer.key):
            conv.weight.data.copy_(torch.eye(4)[..., None, None])
        message = layer(nodes)[0, 0].mean(0)
        torch.testing.assert_close(message[0], torch.full((2, 2), share))
        torch.testing.assert_close(message[1], torch.full((2, 2), 1 - share))


def test_group_of_two_has_one_sender():
    torch.manual_seed(0)
    group, sender = CoAttention(4, softmax='group'), CoAttention(4)
    sender.load_state_dict(group.state_dict())
    nodes = torch.randn(3, 2, 4, 3, 3)
    torch.testing.assert_close(group(nodes), sender(nodes))


def test_whitened_keys_against_loop():
    torch.manual_seed(0)
    layer = CoAttention(6, key='whitened', key_channels=4, scale=2.0)
    nodes = torch.randn(2, 3, 6, 3, 5) + 4
    layer(nodes)  # learns
    layer.eval()
    out = layer(nodes)
    assert layer.query is None and layer.key is None
    rows = nodes.permute(0, 1, 3, 4, 2).reshape(-1, 6)
    torch.testing.assert_close(layer.whiten.mean, rows.mean(0))
    for g in range(2):
        for i in range(3):
            for s, j in enumerate(j for j in range(3) if j != i):
                want = plain_group_message(layer, nodes[g], i, [j])
                torch.testing.assert_close(
                    out[g, i, s], want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('side, width', [(3, 2), (5, 16)])
def test_narrow_keys_of_small_maps_stay_narrow(monkeypatch, side, width,
                                               masked):
    torch.manual_seed(0)
    layer = CoAttention(16, key='whitened', key_channels=2, softmax='group')
    seen, real = [], F.scaled_dot_product_attention

    def spy(query, *args, **kwargs):
        seen.append(query.shape[-1])
        return real(query, *args, **kwargs)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', spy)
    nodes = torch.randn(1, 3, 16, side, side)
    mask = torch.rand(1, 3, side, side) < .8 if masked else None
    layer(nodes)
    seen.clear()
    out = layer.eval()(nodes, mask)
    assert seen == [width + (masked and width == 2)]
    for i in range(3):
        want = plain_group_message(layer, nodes[0], i,
                                   [j for j in range(3) if j != i],
                                   None if mask is None else mask[0])
        torch.testing.assert_close(out[0, i, 0], want, atol=1e-4, rtol=1e-4)


def test_whitening_leaves_padding_out():
    torch.manual_seed(0)
    layer = CoAttention(4, key='whitened')
    nodes = torch.randn(2, 2, 4, 3, 5)
    mask = torch.zeros(2, 2, 3, 5, dtype=torch.bool)
    mask[..., :2, :4] = True
    out = layer(nodes.masked_fill(~mask.unsqueeze(2), 1e4), mask)
    assert layer.whiten.count == 2 * 2 * 8
    alone = CoAttention(4, key='whitened')
    alone.gate.load_state_dict(layer.gate.state_dict())
    want = alone(nodes[..., :2, :4])
    torch.testing.assert_close(out[..., :2, :4], want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('options, shape', [
    (dict(softmax='group'), (3, 4, 6, 4)),
    (dict(softmax='group', key='whitened'), (3, 4, 6, 4)),
    (dict(key='whitened'), (12, 3, 6, 4)),
])
def test_one_attention_call_of_the_variants(monkeypatch, options, shape):
    calls = []
    attention = F.scaled_dot_product_attention

    def count(*args, **kwargs):
        calls.append(args[0].shape)
        return attention(*args, **kwargs)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', count)
    CoAttention(4, **options)(torch.randn(3, 4, 4, 2, 3))
    assert calls == [shape]


@pytest.mark.parametrize('options', [
    dict(softmax='group'),
    dict(softmax='group', self_edge=True, normalize=True),
])
def test_gradcheck_group_softmax(options):
    torch.manual_seed(0)
    layer = CoAttention(4, **options).double()
    nodes = torch.randn(1, 3, 4, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(layer, nodes)


@pytest.mark.parametrize('softmax', ['sender', 'group'])
def test_autocast_of_whitened_keys(softmax):
    torch.manual_seed(0)
    layer = CoAttention(8, key='whitened', softmax=softmax, normalize=True)
    nodes = torch.randn(2, 3, 8, 4, 4) + 3
    layer(nodes)
    layer.eval()
    full = layer(nodes)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = layer(nodes)
    torch.testing.assert_close(half.float(), full, atol=0.05, rtol=0.05)


@pytest.mark.parametrize('options, message', [
    (dict(key='frozen'), "key of .*'frozen'.*learned, whitened"),
    (dict(softmax='pair'), "softmax of .*'pair'.*sender, group"),
    (dict(key='whitened', key_channels=9), 'out_channels .* 9'),
])
def test_variant_errors(options, message):
    with pytest.raises(InputError, match=message):
        CoAttention(4, **options)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'group_wsss'])
def test_config_errors(scope):
    assert MODELS.build(
        dict(type='group_wsss.CoAttention', in_channels=20,
             _scope_=scope)).query.out_channels == 10
    with pytest.raises(InputError, match='key_channels'):
        CoAttention(4, key_channels=0)


def plain_pool(image, size, valid=None):
    """Means over the cells of a grid, cell by cell; image ``(C, H, W)``."""
    c, h, w = image.shape
    rows, columns = min(size, h), min(size, w)
    out = torch.zeros(c, rows, columns, dtype=image.dtype)
    seen = torch.zeros(rows, columns, dtype=torch.bool)
    for y in range(rows):
        for x in range(columns):
            cell = (slice(y * h // rows, -(-(y + 1) * h // rows)),
                    slice(x * w // columns, -(-(x + 1) * w // columns)))
            inside = torch.ones(h, w, dtype=torch.bool)[cell]
            if valid is not None:
                inside = valid[cell]
            seen[y, x] = inside.any()
            if seen[y, x]:
                out[:, y, x] = image[(slice(None), *cell)][:, inside].mean(1)
    return out, seen


@pytest.mark.parametrize('softmax', ['sender', 'group'])
@pytest.mark.parametrize('normalize', [False, True])
@pytest.mark.parametrize('masked', [False, True])
def test_pooled_messages_against_loop(softmax, normalize, masked):
    torch.manual_seed(0)
    layer = CoAttention(
        6, softmax=softmax, normalize=normalize, scale=2.0,
        pool_size=3).double()
    nodes = torch.randn(2, 3, 6, 5, 7, dtype=torch.double)
    mask = None
    if masked:
        mask = torch.zeros(2, 3, 5, 7, dtype=torch.bool)
        mask[..., :4, :4] = True  # the last column of cells is padding
        mask[:, 1, 0, 0] = False
    out = layer(nodes, mask)
    for g in range(2):
        for i in range(3):
            query = layer.query(nodes[g, i][None])[0].flatten(1)
            scores, values = [], []
            for j in (j for j in range(3) if j != i):
                valid = mask[g, j] if masked else None
                key, seen = plain_pool(
                    layer.key(nodes[g, j][None])[0], 3, valid)
                if normalize:
                    key = key / key.norm(dim=0, keepdim=True).clamp(min=1e-12)
                values.append(plain_pool(nodes[g, j], 3, valid)[0].flatten(1))
                unit = query
                if normalize:
                    unit = query / query.norm(dim=0, keepdim=True)
                score = 2 * torch.einsum('dn,dm->nm', unit, key.flatten(1))
                scores.append(
                    score.masked_fill(~seen.flatten()[None], -torch.inf))
            if softmax == 'group':
                scores, values = [torch.cat(scores, 1)], [torch.cat(values, 1)]
            for s, (score, value) in enumerate(zip(scores, values)):
                want = torch.einsum('nm,cm->cn', score.softmax(1), value)
                want = want.view(6, 5, 7)
                want = want * torch.sigmoid(layer.gate(want[None])[0])
                torch.testing.assert_close(out[g, i, s], want)


def test_grid_as_large_as_the_map_changes_nothing():
    torch.manual_seed(0)
    plain, pooled = CoAttention(4), CoAttention(4, pool_size=9)
    pooled.load_state_dict(plain.state_dict())
    nodes = torch.randn(1, 3, 4, 5, 9)
    torch.testing.assert_close(pooled(nodes), plain(nodes))


def test_gradcheck_pooled():
    torch.manual_seed(0)
    layer = CoAttention(4, pool_size=2).double()
    nodes = torch.randn(1, 3, 4, 3, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(layer, nodes)


def test_pool_size_error():
    with pytest.raises(InputError, match='pool_size of CoAttention is 0'):
        CoAttention(4, pool_size=0)


@pytest.mark.parametrize('softmax', ['sender', 'group'])
def test_a_mask_is_not_expanded_to_pairs_of_positions(monkeypatch, softmax):
    attend = torch.nn.functional.scaled_dot_product_attention

    def plain(*args, **kwargs):
        assert len(args) == 3 and set(kwargs) == {'scale'}
        return attend(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, 'scaled_dot_product_attention',
                        plain)
    layer = CoAttention(6, softmax=softmax, normalize=True, scale=25.)
    nodes = torch.randn(1, 3, 6, 4, 4, requires_grad=True)
    mask = torch.ones(1, 3, 4, 4, dtype=torch.bool)
    mask[..., 2:] = False
    for kind in (torch.float32, torch.bfloat16):
        with torch.autocast(
                'cpu', torch.bfloat16, enabled=kind is torch.bfloat16):
            out = layer(nodes, mask)
        out.float().square().sum().backward()
        assert torch.isfinite(out).all() and torch.isfinite(nodes.grad).all()
    # what is masked sends nothing: the same message from other padding
    other = nodes.detach().masked_fill(~mask.unsqueeze(2), 7.)
    torch.testing.assert_close(
        layer(other, mask)[..., :2],
        layer(nodes, mask)[..., :2])
