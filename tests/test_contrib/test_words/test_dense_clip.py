# Copyright (c) group_wsss contributors. All rights reserved.
"""DenseCLIP against plain loops, timm and transformers."""
import os
import subprocess
import sys
from functools import partial

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

import group_wsss.contrib.words.components  # noqa: F401
from group_wsss.contrib.words.clip_weights import fingerprint
from group_wsss.utils.checkpoint import load_from_file
from group_wsss.utils.errors import InputError
from group_wsss.utils.weights import load_weights

WIDTH, HEADS, BLOCKS, OUT, PATCH = 16, 2, 3, 6, 8
# a process of its own: mmpretrain cannot be imported beside transformers 5,
# which may lie in a folder of its own, TRANSFORMERS_LIBS
TRANSFORMERS = f'''
import sys, torch
try:
    import transformers
except ImportError:
    sys.exit(77)
torch.manual_seed(0)
small = dict(hidden_size={WIDTH}, intermediate_size={4 * WIDTH},
             num_hidden_layers={BLOCKS}, num_attention_heads={HEADS})
net = transformers.CLIPModel(transformers.CLIPConfig(
    text_config=dict(small, vocab_size=9, bos_token_id=0, eos_token_id=1),
    vision_config=dict(small, image_size=32, patch_size={PATCH}),
    projection_dim={OUT})).eval()
for p in net.parameters():
    p.data.normal_(std=.3)
net.save_pretrained(sys.argv[1])
x = torch.rand(2, 3, 32, 48)
with torch.no_grad():
    seen = net.vision_model(x, interpolate_pos_encoding=True)
    out = net.vision_model.post_layernorm(seen.last_hidden_state)
    out = net.visual_projection(out)
torch.save((x, out), sys.argv[1] + '/out.pt')
'''


def build(scope='mmpretrain', **kwargs):
    torch.manual_seed(0)
    cfg = dict(
        type='group_wsss.DenseCLIP',
        arch=dict(
            embed_dims=WIDTH,
            num_layers=BLOCKS,
            num_heads=HEADS,
            feedforward_channels=4 * WIDTH),
        patch_size=PATCH,
        img_size=32,
        text_channels=OUT,
        num_dense=2)
    with DefaultScope.overwrite_default_scope(scope):
        net = MODELS.build({**cfg, **kwargs})
    for parameter in net.parameters():
        parameter.data.normal_(std=.3)
    net.eval()
    return net


def plain(w, x, num_dense, attention):
    """One image, loops over heads and tokens; ``w`` are OpenAI's names."""

    def norm(v, name):
        v = v - v.mean(-1, keepdim=True)
        v = v / (v.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return v * w[f'visual.{name}.weight'] + w[f'visual.{name}.bias']

    rows, columns = x.shape[1] // PATCH, x.shape[2] // PATCH
    tokens = [w['visual.class_embedding']]
    for i in range(rows):
        for j in range(columns):
            part = x[:, i * PATCH:(i + 1) * PATCH, j * PATCH:(j + 1) * PATCH]
            tokens.append((w['visual.conv1.weight'] * part).sum((1, 2, 3)))
    x = norm(torch.stack(tokens) + w['visual.positional_embedding'], 'ln_pre')
    dense = x
    for block in range(BLOCKS):
        name = f'transformer.resblocks.{block}'

        def layer(v, end, bias):
            return v @ w[f'visual.{name}.{end}'].t(
            ) + w[f'visual.{name}.{bias}']

        qkv = layer(
            norm(x, f'{name}.ln_1'), 'attn.in_proj_weight',
            'attn.in_proj_bias').chunk(3, -1)

        def mix(pairs):
            found = []
            for h in range(HEADS):
                cut = slice(h * WIDTH // HEADS, (h + 1) * WIDTH // HEADS)
                q, k, v = (part[:, cut] for part in qkv)
                named, total = dict(q=q, k=k, v=v), 0
                for a, b in pairs:
                    logits = named[a] @ named[b].t() * (WIDTH / HEADS)**-.5
                    total = total + logits.exp() / logits.exp().sum(
                        1, keepdim=True)
                found.append(total / len(pairs) @ v)
            return layer(
                torch.cat(found, -1), 'attn.out_proj.weight',
                'attn.out_proj.bias')

        if block >= BLOCKS - num_dense:
            dense = dense + mix([(a, a) for a in attention])
        x = x + mix(['qk'])
        hidden = layer(
            norm(x, f'{name}.ln_2'), 'mlp.c_fc.weight', 'mlp.c_fc.bias')
        hidden = hidden / (1 + (-1.702 * hidden).exp())
        x = x + layer(hidden, 'mlp.c_proj.weight', 'mlp.c_proj.bias')
        if block < BLOCKS - num_dense:
            dense = x
    out = norm(dense[1:], 'ln_post') @ w['visual.proj']
    return out.t().reshape(OUT, rows, columns)


def openai():
    """Random weights under OpenAI's names, with some of the text tower."""
    torch.manual_seed(1)
    shapes = {
        'class_embedding': (WIDTH, ),
        'positional_embedding': (17, WIDTH),
        'conv1.weight': (WIDTH, 3, PATCH, PATCH),
        'proj': (WIDTH, OUT)
    }
    for name in ('ln_pre', 'ln_post'):
        shapes.update({f'{name}.weight': (WIDTH, ), f'{name}.bias': (WIDTH, )})
    for block in range(BLOCKS):
        for name, out, into in (('ln_1', WIDTH, 0), ('ln_2', WIDTH, 0),
                                ('attn.in_proj', 3 * WIDTH,
                                 WIDTH), ('attn.out_proj', WIDTH, WIDTH),
                                ('mlp.c_fc', 4 * WIDTH,
                                 WIDTH), ('mlp.c_proj', WIDTH, 4 * WIDTH)):
            sign = '_' if name == 'attn.in_proj' else '.'
            name = f'transformer.resblocks.{block}.{name}{sign}'
            shapes[f'{name}weight'] = (out, into) if into else (out, )
            shapes[f'{name}bias'] = (out, )
    weights = {f'visual.{k}': torch.randn(v) * .3 for k, v in shapes.items()}
    text = 'transformer.resblocks.0.attn.in_proj_weight'
    return {**weights, text: torch.ones(3), 'logit_scale': torch.ones(())}


@pytest.mark.parametrize('num_dense, attention', [(0, 'qkv'), (1, 'k'),
                                                  (2, 'qkv'), (3, 'qv')])
def test_is_the_plain_one(num_dense, attention):
    net = build('mmseg', num_dense=num_dense, attention=attention)
    weights, x = openai(), torch.rand(2, 3, 32, 32)
    load_weights(net, weights, 'clip.pt')
    out, = net(x)
    wanted = torch.stack([plain(weights, y, num_dense, attention) for y in x])
    torch.testing.assert_close(out, wanted, rtol=0, atol=1e-5)


def of_transformers(weights):
    """Names of transformers, which has three layers for one."""
    renames = {
        'class_embedding': 'embeddings.class_embedding',
        'positional_embedding': 'embeddings.position_embedding.weight',
        'conv1': 'embeddings.patch_embedding',
        'ln_pre': 'pre_layrnorm',
        'ln_post': 'post_layernorm',
        'transformer.resblocks': 'encoder.layers',
        'ln_': 'layer_norm',
        'attn.out_proj': 'self_attn.out_proj',
        'c_fc': 'fc1',
        'c_proj': 'fc2'
    }
    found = {'visual_projection.weight': weights['visual.proj'].t()}
    for key, value in weights.items():
        head, _, key = key.partition('.')
        if head != 'visual' or key == 'proj':
            continue
        for openai, theirs in renames.items():
            key = key.replace(openai, theirs)
        parts = [('', value)]
        if 'in_proj' in key:
            parts = zip('qkv', value.chunk(3))
        for part, value in parts:
            own = key.replace('attn.in_proj_', f'self_attn.{part}_proj.')
            found[f'vision_model.{own}'] = value
    return {**found, 'text_model.embeddings.weight': torch.ones(3)}


def test_names_of_others():
    net, x = build('group_wsss'), torch.rand(1, 3, 40, 24)
    load_weights(net, openai(), 'clip.pt')
    own = net.state_dict()
    # those of CLIPZeroShot: ours with a prefix, the projection turned
    mmpretrain = {f'visual.{k}': v for k, v in own.items()}
    mmpretrain['visual_proj.proj'] = mmpretrain.pop('visual.proj.weight').t()
    for weights in (dict(state_dict=mmpretrain), of_transformers(openai()),
                    own):
        other = build()
        load_weights(other, weights, 'other.pth')
        for key, value in other.state_dict().items():
            assert torch.equal(value, own[key]), key
        assert torch.equal(net(x)[0], other(x)[0])
    assert net(x)[0].shape == (1, OUT, 5, 3)


def test_is_that_of_timm():
    pytest.importorskip('timm')
    from timm.models.vision_transformer import VisionTransformer
    torch.manual_seed(2)
    theirs = VisionTransformer(
        img_size=32,
        patch_size=PATCH,
        embed_dim=WIDTH,
        depth=BLOCKS,
        num_heads=HEADS,
        num_classes=OUT,
        pre_norm=True,
        act_layer=torch.nn.GELU,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-5)).eval()
    for parameter in theirs.parameters():
        parameter.data.normal_(std=.3)
    theirs.head.bias.data.zero_()
    net = build(num_dense=0, quick_gelu=False)
    load_weights(net, theirs.state_dict(), 'timm.pth')
    x = torch.rand(2, 3, 32, 32)
    wanted = theirs.head(theirs.forward_features(x))[:, 1:]
    torch.testing.assert_close(
        net(x)[0].flatten(2).transpose(1, 2), wanted, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_is_that_of_transformers(tmp_path):
    """A size of its own, too: the position embedding is resized alike."""
    libs = os.environ.get('TRANSFORMERS_LIBS', '')
    done = subprocess.run([sys.executable, '-c', TRANSFORMERS,
                           str(tmp_path)],
                          env=dict(os.environ, PYTHONPATH=libs),
                          capture_output=True,
                          text=True)
    if done.returncode == 77:
        pytest.skip('transformers is not installed (TRANSFORMERS_LIBS)')
    assert not done.returncode, done.stderr
    net = build(num_dense=0)
    load_weights(net, load_from_file(str(tmp_path / 'model.safetensors')), '')
    x, wanted = torch.load(tmp_path / 'out.pt')
    torch.testing.assert_close(
        net(x)[0].flatten(2).transpose(1, 2), wanted[:, 1:], rtol=0, atol=1e-5)


def test_fingerprint_is_of_the_values():
    weight = torch.randn(OUT, WIDTH)
    # float16 as published, and what open_clip and transformers make of it
    half = weight.half()
    assert fingerprint(half) == fingerprint(half.float().t().clone().t())
    assert fingerprint(half) != fingerprint(half + 1)


@pytest.mark.parametrize('change, line', [
    (dict(num_dense=4), 'num_dense of DenseCLIP is 4, must be in 0..3'),
    (dict(attention='qx'), "attention of DenseCLIP is 'qx'"),
    (dict(attention=''), "attention of DenseCLIP is ''"),
])
def test_wrong_options(change, line):
    with pytest.raises(InputError, match=line):
        build(**change)


def test_another_clip_is_refused():
    weights = openai()
    del weights['visual.ln_post.bias']
    with pytest.raises(InputError, match='^a.pt: .*ln1.bias is not in'):
        load_weights(build(), weights, 'a.pt')
    with pytest.raises(InputError, match='^a.pt: .*proj.weight is .6, 16.'):
        load_weights(build(text_channels=7), openai(), 'a.pt')
