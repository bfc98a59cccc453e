# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS

from group_wsss.utils.errors import InputError

GROUP = dict(key='whitened', softmax='group', normalize=True, scale=9.0)
DROPOUT = dict(type='group_wsss.GraphDropout')


def build(**kwargs):
    torch.manual_seed(0)
    return MODELS.build(
        dict(type='group_wsss.CoAttentionGNN', in_channels=8, **kwargs))


@pytest.mark.parametrize('options', [
    dict(),
    dict(aggregation='sum', update='residual'),
    dict(aggregation='concat', group_size=2),
    dict(channels=4, zero_init=False, self_edge=True),
])
def test_groups_do_not_leak(options):
    neck = build(**options).eval()
    x = torch.rand(4, 8, 5, 6)
    out, = neck((x, ), group_size=2)
    assert out.shape == x.shape and not torch.allclose(out, x)
    alone, = neck((x[:2], ), group_size=2)
    torch.testing.assert_close(out[:2], alone)
    # an image alone hears itself, or nobody
    single, = neck((x[:1], ))
    assert torch.equal(single, x[:1]) == ('self_edge' not in options)


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


@pytest.mark.parametrize('index', [1, -2])
def test_in_index(index):
    """A map in the middle is what the last one would be."""
    neck = build(group_size=2, in_index=index, dropout=None)
    x, last = torch.rand(4, 8, 5, 5), torch.rand(4, 3, 2, 2)
    feats = [torch.rand(4, 2, 9, 9), x, last]
    out = neck(feats)
    assert isinstance(out, tuple) and len(out) == 3
    assert out[0] is feats[0] and out[2] is last
    assert feats[1] is x  # the list of the caller stays as it is
    plain = build(group_size=2, dropout=None)
    assert torch.equal(out[1], plain((x, ))[0])
    with pytest.raises(InputError, match=f'in_index .* is {index}.* 1 map'):
        neck((x, ))


def test_group_size_may_change():
    neck = build(group_size=2).eval()
    x = torch.rand(6, 8, 4, 4)
    two, six = (neck((x, ), group_size=k)[0] for k in (2, 6))
    assert not torch.allclose(two, six)
    # a mean of equal messages is that message, whatever their number
    same = x[:1].expand(6, -1, -1, -1)
    two, six = (neck((same, ), group_size=k)[0] for k in (2, 6))
    torch.testing.assert_close(two, six)


@pytest.mark.parametrize('options', [
    dict(),
    dict(aggregation='concat', group_size=3),
    dict(aggregation='concat', group_size=3, self_edge=True),
    dict(self_edge=True),
])
def test_leftover_in_eval(options):
    neck = build(**options).eval()
    x = torch.rand(5, 8, 4, 4)
    out, = neck((x, ), group_size=3)
    torch.testing.assert_close(out[:3], neck((x[:3], ), group_size=3)[0])
    alone = x[3:]
    if list(options) == ['self_edge']:
        alone, = neck((x[3:], ), group_size=1)
    torch.testing.assert_close(out[3:], alone)
    torch.testing.assert_close(neck((x[3:], ), group_size=3)[0],
                               alone)  # no whole group at all


@pytest.mark.parametrize('options', [
    dict(aggregation='sum'),
    dict(aggregation='sum', self_edge=True, coattention=dict(softmax='group')),
    dict(aggregation='concat', group_size=3, gru=dict(kernel_size=3)),
    dict(
        update='residual', gamma_init=0.5, aggregation='concat', group_size=3),
    dict(channels=4, zero_init=False),
    dict(dropout=dict(DROPOUT, drop_prob=1., active_in_eval=True)),
    dict(update='mix', gamma_init=0.3, num_steps=2, coattention=GROUP),
    dict(update='mix', gamma_init=1., coattention=GROUP),
])
def test_padding_equals_loop_without_padding(make, options):
    neck = build(**options).double()
    if neck.coattention.whiten is not None:
        neck((torch.randn(3, 8, 5, 7).double(), ), group_size=3)
    neck.eval()
    sizes = [(4, 6), (5, 3), (2, 7)]
    maps = [torch.randn(8, *size, dtype=torch.double) for size in sizes]
    x = torch.randn(3, 8, 5, 7, dtype=torch.double)  # garbage around
    mask = torch.zeros(3, 5, 7, dtype=torch.bool)
    for i, (h, w) in enumerate(sizes):
        x[i, :, :h, :w] = maps[i]
        mask[i, :h, :w] = True
    out = neck.propagate(x, 3, mask)
    cheap = neck.propagate(x, 3, mask, anchors_only=True)
    torch.testing.assert_close(cheap[0], out[0])
    # the others skip the last round, or nothing would be saved
    assert not torch.allclose(cheap[1], out[1])
    states = maps
    if neck.reduce is not None:
        states = [neck.reduce(h[None])[0] for h in maps]
    for _ in range(neck.num_steps):
        new = []
        for i, h in enumerate(states):
            got = make.messages(neck.coattention, states, i)
            if neck.merge is not None:
                m = neck.merge(torch.cat(list(got))[None])[0]
            else:
                m = got.sum(0)
                m = m / len(got) if neck.aggregation == 'mean' else m
            if neck.gru is not None:
                h = neck.gru(m[None], h[None])[0]
            elif neck.update == 'mix':
                h = (1 - neck.gamma) * h + neck.gamma * m
            else:
                h = h + neck.gamma * m
            new.append(neck.dropout(h[None])[0])
        states = new
    for i, (h, w) in enumerate(sizes):
        want = states[i]
        if neck.expand is not None:
            want = maps[i] + neck.expand(want[None])[0]
        torch.testing.assert_close(out[i, :, :h, :w], want)


def test_last_round_has_one_receiver_a_group(monkeypatch):
    asked, inner = [], F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, 'scaled_dot_product_attention',
        lambda q, *a, **k: asked.append(q.shape[:2]) or inner(q, *a, **k))
    build(num_steps=2).propagate(torch.randn(8, 8, 3, 3), 4, anchors_only=True)
    # receivers of both groups, senders
    assert asked == [(2 * 4, 3), (2 * 1, 3)]


def test_zero_init_starts_as_identity():
    neck, x = build(channels=4, group_size=2), torch.rand(2, 8, 4, 4)
    out, = neck((x, ))
    torch.testing.assert_close(out, x)
    out.square().sum().backward()
    assert neck.expand.weight.grad.abs().sum() > 0


def test_checkpointing_gives_equal_gradients():
    neck = build(group_size=3)
    x = torch.randn(3, 8, 5, 5, requires_grad=True)
    grads = []
    for with_cp in (False, True):
        neck.with_cp = with_cp
        torch.manual_seed(1)  # the coin of the dropout
        loss = neck((x, ))[0].square().sum()
        grads.append(torch.autograd.grad(loss, [x, *neck.parameters()]))
    torch.testing.assert_close(*grads)


@pytest.mark.slow
@pytest.mark.parametrize('group_size, training, backend',
                         [(3, True, 'aot_eager'), (2, False, 'eager')])
def test_compiles_to_one_graph(group_size, training, backend):
    neck = build(num_steps=2, dropout=dict(DROPOUT, drop_prob=1.))
    neck.train(training)
    compiled = torch.compile(neck, backend=backend, fullgraph=True)
    x = torch.randn(6, 8, 4, 4, requires_grad=True)
    out, = neck((x, ), group_size=group_size)
    fast, = compiled((x, ), group_size=group_size)
    torch.testing.assert_close(fast, out)
    want = torch.autograd.grad(out.square().sum(), x)
    got = torch.autograd.grad(fast.square().sum(), x)
    torch.testing.assert_close(got, want)


def test_autocast():
    # no dropout: rounding moves positions across its threshold
    neck = build(group_size=3, aggregation='concat', dropout=None)
    x = torch.randn(3, 8, 5, 5, requires_grad=True)
    outs, grads = [], []
    for enabled in (False, True):
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=enabled):
            outs.append(neck((x, ))[0].float())
        grads.append(
            torch.autograd.grad(outs[-1].square().sum(),
                                [x, *neck.parameters()]))
    torch.testing.assert_close(*outs, atol=0.05, rtol=0.05)
    for one, two in zip(*grads):  # by length
        assert (two.float() - one).norm() < 0.05 * one.norm()


def test_whitened_keys_in_training():
    neck = build(update='mix', coattention=GROUP, group_size=1)
    feats = (torch.rand(3, 8, 5, 5, requires_grad=True), )
    # plain CAM needs no statistics
    assert neck(feats) is feats
    assert neck.coattention.whiten.count == 0
    with pytest.raises(InputError, match='no image'):
        neck.eval()(feats, group_size=3)
    # directions are fitted anew between rounds, before gradients
    neck.train()(feats, group_size=3)[0].sum().backward()
    assert feats[0].grad.isfinite().all() and feats[0].grad.any()


@pytest.mark.parametrize('options, size, message', [
    (dict(
        aggregation='concat', group_size=3,
        coattention=dict(softmax='group')), 0, 'coattention.softmax.*sender'),
    (dict(with_cp=True,
          coattention=dict(key='whitened')), 0, 'with_cp .*whitened'),
    (dict(contrast=dict()), 0, 'contrast of .*coattention.key'),
    (dict(aggregation='max'), 0, 'aggregation'),
    (dict(update='lstm'), 0, 'update'),
    (dict(group_size=0), 0, 'group_size'),
    (dict(num_steps=-1), 0, 'num_steps'),
    (dict(), 1, r'in_channels .* 8.*\(4, 16, 4, 4\)'),
    (dict(group_size=3), 2, 'batch of 4.*group_size 3'),
    (dict(aggregation='concat', group_size=4), 2, 'group_size 4, got 2'),
])
def test_errors(options, size, message):
    with pytest.raises(InputError, match=message):
        neck = build(**options)
        width = 16 if size == 1 else 8
        k = None if options == dict(group_size=3) else size
        neck((torch.rand(4, width, 4, 4), ), group_size=k)
    # what does not matter without a graph
    build(num_steps=0, with_cp=True, coattention=dict(key='whitened'))
