# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
from mmengine.registry import MODELS

from group_wsss.utils.errors import InputError

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
    dict(aggregation='concat', group_size=3, gru=dict(kernel_size=3)),
    dict(update='residual', aggregation='concat', group_size=3),
    dict(channels=4, zero_init=False),
    dict(dropout=dict(DROPOUT, drop_prob=1., active_in_eval=True)),
])
def test_padding_equals_loop_without_padding(options):
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


def test_zero_init_starts_as_identity():
    neck = build(channels=4, group_size=2)
    x = torch.rand(2, 8, 4, 4)
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


GROUP = dict(key='whitened', softmax='group', normalize=True, scale=9.0)


@pytest.mark.parametrize('gamma, num_steps', [(0., 1), (0.3, 3), (1., 1)])
def test_mix_against_loop(gamma, num_steps):
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


@pytest.mark.parametrize('softmax, senders', [('sender', 3), ('group', 1)])
def test_sum_adds_what_arrives(softmax, senders):
    """As many messages as there are, not K - 1 times their mean."""
    neck = build(
        num_steps=1,
        aggregation='sum',
        update='residual',
        gamma_init=0.5,
        dropout=None,
        self_edge=True,
        coattention=dict(softmax=softmax)).eval()
    x = torch.rand(6, 8, 3, 4)
    messages = neck.coattention(x.unflatten(0, (2, 3))).flatten(0, 1)
    assert messages.shape[1] == senders
    expected = x + 0.5 * sum(messages[:, i] for i in range(senders))
    torch.testing.assert_close(neck((x, ), group_size=3)[0], expected)


def test_whitened_padding_equals_each_size_alone():
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
    assert neck(feats) is feats
    neck.eval()
    assert neck.coattention.whiten.count == 0
    with pytest.raises(InputError, match='no image'):
        neck(feats, group_size=3)


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
