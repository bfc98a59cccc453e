# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, DefaultScope

from group_wsss.models import CoAttentionGNN
from group_wsss.utils.errors import InputError


def build(scope='group_wsss', **kwargs):
    cfg = dict(type='group_wsss.CoAttentionGNN', in_channels=8, **kwargs)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'group_wsss'])
@pytest.mark.parametrize('options', [
    dict(),
    dict(aggregation='sum', update='residual'),
    dict(aggregation='concat', group_size=2),
    dict(channels=4, zero_init=False, self_edge=True),
])
def test_groups_do_not_leak(scope, options):
    neck = build(scope, **options).eval()
    x = torch.rand(4, 8, 5, 6)
    out, = neck((x, ), group_size=2)
    assert out.shape == x.shape and not torch.allclose(out, x)
    alone, = neck((x[:2], ), group_size=2)
    torch.testing.assert_close(out[:2], alone)
    x.requires_grad_()
    neck((x, ), group_size=2)[0][:2].sum().backward()
    assert x.grad[:2].abs().sum() > 0 and x.grad[2:].abs().sum() == 0


@pytest.mark.parametrize('options', [
    dict(aggregation='sum'),
    dict(aggregation='mean', update='residual'),
    dict(channels=4, zero_init=False),
])
def test_permutation_equivariance(options):
    neck = build(**options).eval()
    x = torch.randn(4, 8, 5, 6)
    order = torch.tensor([2, 0, 3, 1])
    out, = neck((x, ), group_size=4)
    moved, = neck((x[order], ), group_size=4)
    torch.testing.assert_close(moved, out[order])


def test_concat_is_ordered():
    neck = build(aggregation='concat', group_size=3).eval()
    x = torch.randn(3, 8, 4, 4)
    order = torch.tensor([0, 2, 1])
    out, = neck((x, ), group_size=3)
    moved, = neck((x[order], ), group_size=3)
    assert not torch.allclose(moved[0], out[0])


@pytest.mark.parametrize('options, group_size, training', [
    (dict(num_steps=0), 3, True),
    (dict(group_size=1), None, True),
    (dict(group_size=3), None, False),
    (dict(aggregation='concat', group_size=1), None, True),
    (dict(num_steps=0, aggregation='concat', group_size=3), 3, True),
])
def test_identity_is_the_same_object(options, group_size, training):
    neck = build(**options).train(training)
    feats = (torch.rand(3, 2, 9, 9), torch.rand(3, 8, 5, 5))
    assert neck(feats, group_size) is feats
    assert not neck.has_graph(
        group_size or (neck.group_size if training else 1))
    if options.get('num_steps') == 0:
        assert not list(neck.parameters())


def test_other_maps_are_handed_on():
    feats = (torch.rand(2, 3, 9, 9), torch.rand(2, 8, 5, 5))
    out = build(group_size=2)(feats)
    assert isinstance(out, tuple) and out[0] is feats[0]


@pytest.mark.parametrize('index', [1, -2])
def test_in_index(index):
    """A map in the middle is what the last one would be."""
    torch.manual_seed(0)
    neck = build(group_size=2, in_index=index, dropout=None)
    x, last = torch.rand(4, 8, 5, 5), torch.rand(4, 3, 2, 2)
    feats = [torch.rand(4, 2, 9, 9), x, last]
    out = neck(feats)
    assert isinstance(out, tuple) and len(out) == 3
    assert out[0] is feats[0] and out[2] is last
    assert feats[1] is x  # the list of the caller stays as it is
    plain = build(group_size=2, dropout=None)
    plain.load_state_dict(neck.state_dict())
    assert torch.equal(out[1], plain((x, ))[0])
    # images beyond the last whole group, in eval mode
    part = [m[:3] for m in feats]
    got = neck.eval()(part, group_size=2)[1]
    torch.testing.assert_close(got, plain.eval()((x[:3], ), group_size=2)[0])
    assert torch.equal(got[2], x[2])
    with pytest.raises(InputError, match=f'in_index .* is {index}.* 1 map'):
        neck((x, ))


def test_group_size_may_change():
    neck = build(group_size=2)
    x = torch.rand(6, 8, 4, 4)
    assert neck((x, ))[0].shape == x.shape
    neck.eval()
    outs = [neck((x, ), group_size=k)[0] for k in (2, 3, 6)]
    assert not torch.allclose(outs[0], outs[1])
    assert not torch.allclose(outs[1], outs[2])
    # a mean of equal messages is that message, whatever their number
    same = x[:1].expand(6, -1, -1, -1)
    two, six = (neck((same, ), group_size=k)[0] for k in (2, 6))
    torch.testing.assert_close(two, six)


def test_self_edge_group_of_one():
    neck = build(self_edge=True).eval()
    x = torch.rand(2, 8, 4, 4)
    out, = neck((x, ))
    assert not torch.allclose(out, x)
    torch.testing.assert_close(out[1:], neck((x[1:], ))[0])


@pytest.mark.parametrize('aggregation', ['mean', 'concat'])
def test_leftover_in_eval(aggregation):
    neck = build(aggregation=aggregation, group_size=3).eval()
    x = torch.rand(5, 8, 4, 4)
    out, = neck((x, ), group_size=3)
    torch.testing.assert_close(out[:3], neck((x[:3], ), group_size=3)[0])
    torch.testing.assert_close(out[3:], x[3:])
    few, = neck((x[:2], ), group_size=3)
    torch.testing.assert_close(few, x[:2])


@pytest.mark.parametrize('options', [
    dict(aggregation='sum'),
    dict(aggregation='concat', group_size=3, gru=dict(kernel_size=3)),
    dict(update='residual', aggregation='concat', group_size=3),
    dict(channels=4, zero_init=False),
    dict(
        dropout=dict(
            type='group_wsss.GraphDropout', drop_prob=1.0,
            active_in_eval=True)),
])
def test_padding_equals_loop_without_padding(options):
    torch.manual_seed(0)
    neck = build(**options).double().eval()
    sizes = [(4, 6), (5, 3), (2, 7)]
    maps = [torch.randn(8, *size, dtype=torch.double) for size in sizes]
    x = torch.randn(3, 8, 5, 7, dtype=torch.double)  # garbage around
    mask = torch.zeros(3, 5, 7, dtype=torch.bool)
    for i, (h, w) in enumerate(sizes):
        x[i, :, :h, :w] = maps[i]
        mask[i, :h, :w] = True
    out = neck.propagate(x, 3, mask)

    def message(i, j, h):
        query, key = neck.coattention.query(h[i][None]), \
            neck.coattention.key(h[j][None])
        weight = torch.einsum('dn,dm->nm', query[0].flatten(1),
                              key[0].flatten(1)).softmax(1)
        out = torch.einsum('nm,cm->cn', weight, h[j].flatten(1))
        out = out.view(-1, *h[i].shape[1:])
        return torch.sigmoid(neck.coattention.gate(out[None])[0]) * out

    states = maps
    if neck.reduce is not None:
        states = [neck.reduce(h[None])[0] for h in maps]
    for _ in range(3):
        new = []
        for i in range(3):
            got = [message(i, j, states) for j in range(3) if j != i]
            if neck.merge is not None:
                m = neck.merge(torch.cat(got)[None])
            else:
                m = sum(got)[None]
                m = m / 2 if neck.aggregation == 'mean' else m
            h = states[i][None]
            h = h + neck.gamma * m if neck.gru is None else neck.gru(m, h)
            new.append(neck.dropout(h)[0])
        states = new
    for i, (h, w) in enumerate(sizes):
        want = states[i]
        if neck.expand is not None:
            want = maps[i] + neck.expand(want[None])[0]
        torch.testing.assert_close(out[i, :, :h, :w], want)


def test_one_attention_call_per_step(monkeypatch):
    calls = []
    attention = F.scaled_dot_product_attention
    monkeypatch.setattr(F, 'scaled_dot_product_attention',
                        lambda *a, **k: calls.append(1) or attention(*a, **k))
    build(group_size=4, num_steps=5)((torch.rand(8, 8, 3, 3), ))
    assert len(calls) == 5


def test_zero_init_starts_as_identity():
    neck = build(channels=4, group_size=2)
    x = torch.rand(2, 8, 4, 4)
    out, = neck((x, ))
    torch.testing.assert_close(out, x)
    out.square().sum().backward()
    assert neck.expand.weight.grad.abs().sum() > 0


@pytest.mark.parametrize('options', [dict(), dict(update='residual')])
def test_checkpointing_gives_equal_gradients(options):
    torch.manual_seed(0)
    neck = build(group_size=3, coattention=dict(gate=True), **options)
    x = torch.randn(3, 8, 5, 5, requires_grad=True)
    grads = []
    for with_cp in (False, True):
        neck.with_cp = with_cp
        torch.manual_seed(1)  # the coin of the dropout
        loss = neck((x, ))[0].square().sum()
        grads.append(torch.autograd.grad(loss, [x, *neck.parameters()]))
    for plain, checkpointed in zip(*grads):
        torch.testing.assert_close(plain, checkpointed)


@pytest.mark.slow
@pytest.mark.parametrize('group_size, training, backend',
                         [(3, True, 'aot_eager'), (2, False, 'eager')])
def test_compiles_to_one_graph(group_size, training, backend):
    neck = build(
        num_steps=2,
        dropout=dict(type='group_wsss.GraphDropout',
                     drop_prob=1.0)).train(training)
    compiled = torch.compile(neck, backend=backend, fullgraph=True)
    x = torch.randn(6, 8, 4, 4, requires_grad=True)
    out, = neck((x, ), group_size=group_size)
    fast, = compiled((x, ), group_size=group_size)
    torch.testing.assert_close(fast, out)
    want = torch.autograd.grad(out.square().sum(), x)
    got = torch.autograd.grad(fast.square().sum(), x)
    torch.testing.assert_close(got, want)


def test_autocast():
    torch.manual_seed(0)
    # no dropout: rounding moves positions across its threshold
    neck = build(group_size=3, aggregation='concat', dropout=None)
    x = torch.randn(3, 8, 5, 5, requires_grad=True)
    full, = neck((x, ))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half, = neck((x, ))
    torch.testing.assert_close(half.float(), full, atol=0.05, rtol=0.05)
    # gradients too, by length
    names = [n for n, _ in neck.named_parameters()]
    grads = [
        torch.autograd.grad(out.float().square().sum(),
                            [x, *neck.parameters()]) for out in (full, half)
    ]
    for name, one, two in zip(['x', *names], *grads):
        error = (two.float() - one).norm() / one.norm()
        assert error < 0.05, (name, float(error))


GROUP = dict(key='whitened', softmax='group', normalize=True, scale=9.0)


@pytest.mark.parametrize('num_steps', [1, 3])
@pytest.mark.parametrize('gamma', [0.0, 0.3, 1.0])
def test_mix_against_loop(gamma, num_steps):
    torch.manual_seed(0)
    neck = build(
        num_steps=num_steps,
        update='mix',
        gamma_init=gamma,
        dropout=None,
        coattention=dict(GROUP, gate=False)).double()
    x = torch.randn(6, 8, 3, 4, dtype=torch.double)
    neck((x, ), group_size=3)
    neck.eval()
    out, = neck((x, ), group_size=3)
    assert not list(neck.parameters()) and neck.gru is None
    states = [h for h in x]
    for _ in range(num_steps):
        keys = [neck.coattention.whiten(h[None])[0].flatten(1) for h in states]
        keys = [key / key.norm(dim=0) for key in keys]
        new = []
        for i, h in enumerate(states):
            others = [j for j in range(6) if j // 3 == i // 3 and j != i]
            key = torch.cat([keys[j] for j in others], 1)
            value = torch.cat([states[j].flatten(1) for j in others], 1)
            weight = (9 * torch.einsum('dn,dm->nm', keys[i], key)).softmax(1)
            message = torch.einsum('nm,cm->cn', weight, value).view_as(h)
            new.append((1 - gamma) * h + gamma * message)
        states = new
    torch.testing.assert_close(out, torch.stack(states))
    if gamma == 0:
        assert torch.equal(out, x)


@pytest.mark.parametrize('options, senders', [
    (dict(), 2),
    (dict(self_edge=True), 3),
    (dict(coattention=dict(softmax='group')), 1),
    (dict(self_edge=True, coattention=dict(softmax='group')), 1),
])
def test_sum_adds_what_arrives(options, senders):
    """As many messages as there are, not K - 1 times their mean."""
    neck = build(
        num_steps=1,
        aggregation='sum',
        update='residual',
        gamma_init=0.5,
        dropout=None,
        **options).eval()
    x = torch.rand(6, 8, 3, 4)
    messages = neck.coattention(x.unflatten(0, (2, 3))).flatten(0, 1)
    assert messages.shape[1] == senders
    expected = x + 0.5 * sum(messages[:, i] for i in range(senders))
    torch.testing.assert_close(neck((x, ), group_size=3)[0], expected)


def test_mix_is_a_convex_combination():
    neck = build(
        update='mix',
        gamma_init=0.5,
        dropout=None,
        coattention=dict(gate=False)).eval()
    x = torch.rand(4, 8, 4, 4)
    out, = neck((x, ), group_size=4)
    high, low = x.amax((0, 2, 3)), x.amin((0, 2, 3))
    assert (out.amax((0, 2, 3)) <= high + 1e-5).all()
    assert (out.amin((0, 2, 3)) >= low - 1e-5).all()


@pytest.mark.parametrize('update', ['gru', 'residual', 'mix'])
def test_whitened_group_softmax_is_equivariant(update):
    torch.manual_seed(0)
    neck = build(update=update, coattention=GROUP, group_size=4)
    x = torch.randn(8, 8, 4, 5)
    neck((x, ))
    neck.eval()
    order = torch.tensor([2, 0, 3, 1])
    out, = neck((x[:4], ), group_size=4)
    moved, = neck((x[order], ), group_size=4)
    torch.testing.assert_close(moved, out[order], atol=1e-4, rtol=1e-4)
    # K may change after training
    assert neck((x[:6], ), group_size=6)[0].shape == (6, 8, 4, 5)


def test_whitened_padding_equals_each_size_alone():
    torch.manual_seed(0)
    neck = build(num_steps=2, update='mix', gamma_init=0.5, coattention=GROUP)
    neck((torch.randn(6, 8, 5, 7), ), group_size=3)
    neck.eval()
    x = torch.randn(3, 8, 5, 7)
    mask = torch.zeros(3, 5, 7, dtype=torch.bool)
    mask[:, :4, :6] = True
    out = neck.propagate(x, 3, mask)
    want, = neck((x[..., :4, :6], ), group_size=3)
    torch.testing.assert_close(out[..., :4, :6], want, atol=1e-5, rtol=1e-4)


def test_group_of_one_is_the_identity_of_untrained_keys():
    # plain CAM needs no statistics
    neck = build(update='mix', coattention=GROUP, group_size=1)
    feats = (torch.rand(3, 8, 5, 5), )
    assert neck(feats) is feats and neck.eval()(feats, group_size=1) is feats
    assert neck.coattention.whiten.count == 0
    with pytest.raises(InputError, match='no image'):
        neck(feats, group_size=3)


@pytest.mark.parametrize('options', [
    dict(coattention=dict(softmax='group')),
    dict(coattention=GROUP, update='mix'),
])
def test_one_attention_call_of_the_variants(monkeypatch, options):
    calls = []
    attention = F.scaled_dot_product_attention
    monkeypatch.setattr(F, 'scaled_dot_product_attention',
                        lambda *a, **k: calls.append(1) or attention(*a, **k))
    build(group_size=4, num_steps=2, **options)((torch.rand(8, 8, 3, 3), ))
    assert len(calls) == 2


def test_variant_errors():
    with pytest.raises(InputError, match='coattention.softmax.*sender'):
        build(
            aggregation='concat',
            group_size=3,
            coattention=dict(softmax='group'))
    with pytest.raises(InputError, match='with_cp .*whitened'):
        build(with_cp=True, coattention=dict(key='whitened'))
    # neither matters without a graph
    build(num_steps=0, with_cp=True, coattention=dict(key='whitened'))


def test_input_errors():
    with pytest.raises(InputError, match=r'in_channels .* 8.*\(2, 16, 4, 4\)'):
        build()((torch.rand(2, 16, 4, 4), ))
    with pytest.raises(InputError, match='batch of 4.*group_size 3'):
        build(group_size=3)((torch.rand(4, 8, 4, 4), ))
    with pytest.raises(InputError, match='group_size 3, got 2'):
        build(
            aggregation='concat', group_size=3)((torch.rand(4, 8, 4, 4), ),
                                                group_size=2)
    with pytest.raises(InputError, match='aggregation'):
        build(aggregation='max')
    with pytest.raises(InputError, match='update'):
        build(update='lstm')
    with pytest.raises(InputError, match='group_size'):
        build(group_size=0)


def test_third_party_parts():
    neck = build(
        group_size=2,
        gru=dict(kernel_size=3, bias=False),
        coattention=dict(normalize=True, scale=5.0, gate=False),
        dropout=None)
    assert isinstance(neck, CoAttentionGNN)
    assert neck.gru.candidate.kernel_size == (3, 3)
    assert neck.coattention.scale == 5.0 and neck.dropout is None
