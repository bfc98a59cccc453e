# Copyright (c) group_wsss contributors. All rights reserved.
"""Feature surgery, attention of CLIP, fusion of words and tags."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample

import group_wsss.contrib.words.components  # noqa: F401
from group_wsss.apis import GroupCAMInferencer
from group_wsss.pseudo_labels import AttentionWalk, ThresholdLabeler
from group_wsss.pseudo_labels.refiners.attention_walk import attention_walk
from group_wsss.structures import Dump, DumpWriter, ScoreMap
from group_wsss.structures.score_map import resize_maps
from group_wsss.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
NAMES, WIDTH, OUT = ['a', 'b', 'c'], 8, 6
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)


@pytest.fixture
def net(tmp_path, write_words):
    """A tiny CLIP with its words; its config and checkpoint lie beside."""
    (tmp_path / 'tiny.py').write_text(f'''
_base_ = '{ROOT}/configs/words/custom.py'
model = dict(
    backbone=dict(
        arch=dict(embed_dims={WIDTH}, num_layers=3, num_heads=2,
                  feedforward_channels=8),
        img_size=32, patch_size=16, text_channels={OUT}, num_dense=1,
        class_token=True, num_attention=2),
    head=dict(surgery=True))
''')
    rows = np.random.default_rng(0).normal(size=(len(NAMES) + 1, OUT))
    write_words(NAMES, rows, torch.zeros(OUT, WIDTH))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        net = MODELS.build(Config.fromfile(tmp_path / 'tiny.py').model)
    for value in net.parameters():
        value.data.normal_(std=.4)
    write_words(NAMES, rows, net.backbone.proj.weight)
    torch.save(net.state_dict(), tmp_path / 'clip.pth')
    net.eval()
    return net


@torch.no_grad()
def test_surgery_against_loops(net):
    x = torch.rand(1, 3, 32, 48)
    # the class token as CLIP has it: the last of plain mmpretrain
    net.backbone.class_token = False
    dense, = net.backbone(x)
    net.backbone.class_token = True
    feat, = net.backbone(x)
    assert torch.equal(feat[:, :OUT], dense) and feat.shape[1] == 2 * OUT
    net.backbone.out_type = 'cls_token'
    token = net.backbone.proj(
        super(type(net.backbone), net.backbone).forward(x)[-1][0])
    torch.testing.assert_close(feat[0, OUT:, 1, 2], token)

    sample = DataSample().set_gt_label([0, 2])
    net.head.predict((feat, ), [sample])
    words = torch.from_numpy(net.head.text.features)
    share = (2 * words @ (token / token.norm())).softmax(0)
    weight = share / share.mean()
    maps = torch.zeros(4, 2, 3)
    for i in range(2):
        for j in range(3):
            unit = dense[0, :, i, j] / dense[0, :, i, j].norm()
            each = weight[:, None] * words * unit  # (C + W, D)
            maps[:, i, j] = (each - each.mean(0)).sum(1)
    assert sample.class_ids.tolist() == [0, 2]
    for one, c in zip(sample.class_maps, (0, 2)):
        want = (maps[c] - maps[c].min()) / (maps[c].max() - maps[c].min())
        torch.testing.assert_close(one, want, atol=1e-5, rtol=1e-4)
    # scores are those of before: the same softmax, without the class token
    plain = MODELS.build(
        dict(type='group_wsss.TextCAMHead', text=net.head.text_path))
    other, = plain.predict((dense, ), [DataSample().set_gt_label([0])])
    torch.testing.assert_close(sample.pred_score, other.pred_score)
    # padding is not stretched to, one value everywhere is nothing
    padded = DataSample(metainfo=dict(map_shape=(1, 2))).set_gt_label([1])
    net.head.predict((feat, ), [padded])
    assert padded.class_maps.shape == (1, 1, 2)
    assert sorted(padded.class_maps.flatten().tolist()) == [0, 1]
    flat = DataSample().set_gt_label([1])
    net.head.predict((feat[..., :1, :1].expand_as(feat), ), [flat])
    assert not flat.class_maps.any()
    for head, wrong in ((net.head, dense), (plain, feat)):
        with pytest.raises(InputError, match='class_token of DenseCLIP'):
            head.predict((wrong, ), [DataSample()])


@torch.no_grad()
def test_attention_of_plain_layers(net):
    x = torch.rand(2, 3, 32, 48)
    maps, size = net.backbone.attention_maps(x)
    assert size == (2, 3) and maps.shape == (2, 6, 6)
    seen = []
    for layer in net.backbone.layers:
        layer.attn.register_forward_hook(
            lambda module, inputs, out: seen.append((module, inputs[0])))
    net.backbone(x)
    want = torch.zeros(2, 6, 6)
    heads, width = 2, WIDTH // 2
    for module, tokens in seen[-2:]:  # num_attention
        qkv = module.qkv(tokens)
        for head in range(heads):
            q, k = (
                qkv[..., part * WIDTH + head * width:][..., :width]
                for part in (0, 1))
            score = torch.einsum('bnd,bmd->bnm', q, k) / width**.5
            want += score.softmax(-1)[:, 1:, 1:] / (2 * heads)
    torch.testing.assert_close(maps, want)


def test_walk_along_attention(net, tmp_path):
    refiner = AttentionWalk(
        str(tmp_path / 'tiny.py'),
        str(tmp_path / 'clip.pth'),
        affinity='attention',
        device='cpu')
    assert refiner.supervision == 'L'
    matrix, size = refiner.features.attention(IMAGE)
    assert size == (24, 24)  # 384 pixels a side
    maps = np.random.default_rng(0).random((2, 24, 24), dtype=np.float32)
    want = attention_walk(maps, matrix)
    for one, walked, old in zip(refiner.refine(maps, IMAGE), want, maps):
        np.testing.assert_allclose(
            one, walked / walked.max() * old.max(), rtol=1e-5)
    refiner.max_cells = 500
    with pytest.raises(InputError, match='24 x 24 .*max_cells=500'):
        refiner.refine(maps, IMAGE)
    with pytest.raises(InputError, match='affinity .* .colour'):
        AttentionWalk('x', 'y', affinity='colour')


def test_a_network_without_attention_says_so(tmp_path):
    config = ROOT / 'tests/configs/tiny_group_cam.py'
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        net = MODELS.build(Config.fromfile(config).model)
    torch.save(net.state_dict(), tmp_path / 'net.pth')
    refiner = AttentionWalk(
        str(config), str(tmp_path / 'net.pth'), 'attention', device='cpu')
    assert refiner.supervision == ''
    with pytest.raises(InputError, match="no attention.*affinity='features'"):
        refiner.refine(np.ones((1, 2, 2), np.float32), IMAGE)


def test_inferencer_has_the_classes_of_the_words(net, tmp_path):
    options = dict(device='cpu', show_progress=False)
    config, weights = str(tmp_path / 'tiny.py'), str(tmp_path / 'clip.pth')
    GroupCAMInferencer(config, weights, classes=NAMES, **options)
    for names in (['a', 'x', 'c'], ['a', 'b', 'c', 'd']):
        with pytest.raises(InputError, match='inferencer differ .*text.npz'):
            GroupCAMInferencer(config, weights, classes=names, **options)


@pytest.fixture
def dumps(tmp_path):
    """Scores of tags, and of words on a finer grid for the first of them."""
    rng = np.random.default_rng(0)
    made = {}
    for name, size in (('tags', (2, 3)), ('words/pseudo_labels', (4, 5))):
        writer = DumpWriter(str(tmp_path / name), NAMES)
        for img_id, ids in (('one', [0, 2]), ('two', [1])):
            found = ids if name == 'tags' else ids[:1]
            made[name, img_id] = score_map = ScoreMap(
                img_id, (8, 10), found,
                rng.random((len(found), *size), dtype=np.float32))
            score_map.save(f'{writer.staging}/scores/{img_id}.npz')
            writer.write(img_id, ThresholdLabeler()(score_map))
        writer.finish(supervision=['I', 'L'] if name != 'tags' else ['I'])
    return made


def test_fusion_of_words_and_tags(dumps, tmp_path, monkeypatch, call_tool):
    rows = dict(
        a=dict(AP=60., chance=20.),
        b=dict(AP=10., chance=20.),
        c=dict(AP=100., chance=50.))
    text_dir = str(tmp_path / 'words/pseudo_labels')
    path = tmp_path / 'words/prompts.json'
    path.write_text(json.dumps(rows))
    kind = group_wsss.contrib.words.components.FuseText
    fuse = kind(text_dir, str(path), share=.8)
    np.testing.assert_allclose(fuse.weights, [.4, 0, .8], rtol=1e-6)
    got = fuse(dumps['tags', 'one'])
    own = resize_maps(dumps['tags', 'one'].maps, (4, 5))
    said = fuse.dump.read_scores('one').maps[0]
    np.testing.assert_allclose(got.maps[0], .6 * own[0] + .4 * said, rtol=1e-5)
    np.testing.assert_allclose(got.maps[1], own[1])  # no word of it
    assert got.class_ids.tolist() == [0, 2] and got.ori_shape == (8, 10)
    monkeypatch.setenv('WORDS', str(tmp_path / 'words'))
    call_tool('refine_labels', ROOT / 'configs/words/fuse.py',
              tmp_path / 'tags', tmp_path / 'new', '--keep-scores')
    new = Dump.open(str(tmp_path / 'new'))
    assert new.manifest.supervision == ['I', 'L'] and len(new.ids) == 2
    np.testing.assert_allclose(
        new.read_scores('two').maps,
        resize_maps(dumps['tags', 'two'].maps, (4, 5)),
        atol=.01)

    for content, fault in ((json.dumps(dict(a=rows['a'])),
                            'class 1 is missing'), ('{}',
                                                    'not a file of CheckP'),
                           ('[1]', 'AP and ch'), ('x', 'not JSON'),
                           (json.dumps(dict(rows,
                                            a=dict(AP=200,
                                                   chance=1))), 'in percent')):
        path.write_text(content)
        with pytest.raises(InputError, match=f'prompts.json.*{fault}'):
            kind(text_dir, str(path))
    with pytest.raises(InputError, match='none.json: no such file'):
        kind(text_dir, str(tmp_path / 'none.json'))
    with pytest.raises(InputError, match='share of FuseText is 2'):
        kind(text_dir, str(path), share=2)
    with pytest.raises(InputError, match='one: class id 5'):
        fuse(ScoreMap('one', (8, 10), [5], np.ones((1, 2, 2), np.float32)))
