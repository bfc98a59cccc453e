# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F

from group_wsss.models import CoAttention
from group_wsss.utils.errors import InputError

CALL = 'scaled_dot_product_attention'


@pytest.mark.parametrize('options', [
    dict(),
    dict(gate=False, normalize=True, scale=7.0),
    dict(key_channels=3, bias=True, scale=0.5),
    dict(key_channels=9, self_edge=True),
    dict(key='whitened', normalize=True, scale=5.0),
    dict(key='whitened', key_channels=6, self_edge=True, gate=False),
    dict(pool_size=3, scale=2.0),
    dict(pool_size=3, normalize=True),
    dict(pool_size=9),
])
@pytest.mark.parametrize('softmax', ['sender', 'group'])
@pytest.mark.parametrize('masked', [False, True])
def test_against_loop(make, options, softmax, masked):
    layer = CoAttention(6, softmax=softmax, **options).double()
    nodes = torch.randn(2, 4, 6, 5, 7, dtype=torch.double)
    if layer.whiten is not None:
        layer(nodes)
    layer.eval()
    mask = None
    if masked:
        mask = torch.rand(2, 4, 5, 7) > 0.4
        mask[..., 5:] = False  # whole cells of padding
        mask[..., 0, 0] = True
    out = layer(nodes, mask)
    for g in range(2):
        for i in range(4):
            want = make.messages(layer, nodes[g], i,
                                 mask[g] if masked else None)
            torch.testing.assert_close(out[g, i], want)


@pytest.fixture
def queries(monkeypatch):
    """Shapes of the queries of all attention calls; masks are refused."""
    seen, real = [], F.scaled_dot_product_attention

    def spy(query, key, value, scale):
        seen.append(query.shape)
        return real(query, key, value, scale=scale)

    monkeypatch.setattr(F, CALL, spy)
    return seen


@pytest.mark.parametrize('options, shape', [
    (dict(), (12, 3, 6, 4)),
    (dict(key='whitened'), (12, 3, 6, 4)),
    (dict(softmax='group'), (3, 4, 6, 4)),
    (dict(softmax='group', key='whitened'), (3, 4, 6, 4)),
])
def test_one_attention_call(queries, options, shape):
    CoAttention(4, **options)(torch.randn(3, 4, 4, 2, 3))
    assert queries == [shape]


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('side, width', [(3, 2), (5, 16)])
def test_narrow_keys_of_small_maps_stay_narrow(make, queries, side, width,
                                               masked):
    layer = CoAttention(16, key='whitened', key_channels=2, softmax='group')
    nodes = torch.randn(1, 3, 16, side, side)
    mask = torch.rand(1, 3, side, side) < .8 if masked else None
    layer(nodes)
    out = layer.eval()(nodes, mask)
    assert queries[-1][-1] == width + (masked and width == 2)
    for i in range(3):
        want = make.messages(layer, nodes[0], i, mask[0] if masked else None)
        torch.testing.assert_close(out[0, i], want, atol=1e-4, rtol=1e-4)


def test_whitening_leaves_padding_out():
    layer, alone = (
        CoAttention(4, key='whitened', gate=False) for _ in range(2))
    nodes = torch.randn(2, 2, 4, 3, 5)
    mask = torch.zeros(2, 2, 3, 5, dtype=torch.bool)
    mask[..., :2, :4] = True
    out = layer(nodes.masked_fill(~mask.unsqueeze(2), 1e4), mask)
    assert layer.whiten.count == 2 * 2 * 8
    want = alone(nodes[..., :2, :4])
    torch.testing.assert_close(out[..., :2, :4], want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('options, message', [
    (dict(key='frozen'), "key of .*'frozen'.*learned, whitened"),
    (dict(softmax='pair'), "softmax of .*'pair'.*sender, group"),
    (dict(key='whitened', key_channels=9), 'out_channels .* 9'),
    (dict(key_channels=0), 'key_channels of CoAttention is 0'),
    (dict(pool_size=0), 'pool_size of CoAttention is 0'),
])
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        CoAttention(4, **options)
    assert CoAttention(20).query.out_channels == 10


@pytest.mark.parametrize('softmax', ['sender', 'group'])
def test_what_is_masked_sends_nothing(queries, softmax):
    """Without a mask of all pairs of positions, which the fixture refuses."""
    layer = CoAttention(6, softmax=softmax, normalize=True, scale=25.)
    nodes = torch.randn(1, 3, 6, 4, 4, requires_grad=True)
    mask = torch.ones(1, 3, 4, 4, dtype=torch.bool)
    mask[..., 2:] = False
    for half in (False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=half):
            out = layer(nodes, mask)
        out.float().square().sum().backward()
        assert torch.isfinite(out).all() and torch.isfinite(nodes.grad).all()
    other = nodes.detach().masked_fill(~mask.unsqueeze(2), 7.)
    torch.testing.assert_close(
        layer(other, mask)[..., :2],
        layer(nodes, mask)[..., :2])
