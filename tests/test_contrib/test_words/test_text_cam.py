# Copyright (c) group_wsss contributors. All rights reserved.
"""From words and tags to labels, without training."""
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample

import group_wsss.contrib.words.components  # noqa: F401
from group_wsss.apis import GroupCAMInferencer
from group_wsss.contrib.words.check_prompts import CheckPrompts
from group_wsss.structures import Dump
from group_wsss.utils.errors import InputError
from group_wsss.utils.weights import load_weights

ROOT = Path(__file__).resolve().parents[3]
NAMES = ['red', 'green', 'blue', 'yellow']
# of the discs of tiny_voc, and of the noise behind them
COLOURS = np.array([[210, 30, 30], [30, 210, 30], [30, 30, 210],
                    [180, 180, 30], [30, 30, 30]])
CONFIG = f'''
_base_ = '{ROOT}/configs/words/custom.py'
model = dict(
    data_preprocessor=dict(mean=[30] * 3, std=[60] * 3),
    backbone=dict(
        arch=dict(embed_dims=4, num_layers=2, num_heads=1,
                  feedforward_channels=4),
        img_size=96,
        text_channels=4,
        num_dense=1))
'''

# words mean colours; their features are what the tower makes of them
ROWS = np.concatenate([(COLOURS - 30) / 60, np.full((5, 1), .5)], 1)
ROWS -= ROWS.mean(1, keepdims=True)


def tower():
    """A CLIP that sees mean colours: all its blocks add nothing."""
    weights = {
        'class_embedding': torch.zeros(4),
        'positional_embedding': torch.zeros(37, 4),
        'conv1.weight': torch.zeros(4, 3, 16, 16),
        'proj': torch.eye(4)
    }
    for i in range(3):
        weights['conv1.weight'][i, i] = 1 / 256
    # what no colour is louder than: noise
    weights['positional_embedding'][:, 3] = .5
    norms = ['ln_pre', 'ln_post']
    for block in range(2):
        name = f'transformer.resblocks.{block}'
        norms += [f'{name}.ln_1', f'{name}.ln_2']
        for part, out in (('attn.in_proj_', 12), ('attn.out_proj.', 4),
                          ('mlp.c_fc.', 4), ('mlp.c_proj.', 4)):
            weights[f'{name}.{part}weight'] = torch.zeros(out, 4)
            weights[f'{name}.{part}bias'] = torch.zeros(out)
    for name in norms:
        weights[f'{name}.weight'] = torch.ones(4)
        weights[f'{name}.bias'] = torch.zeros(4)
    return {f'visual.{key}': value for key, value in weights.items()}


@pytest.fixture
def place(tiny_voc, tmp_path, write_words):
    """Config, words, weights and a list; arguments of tools/test.py."""
    (tmp_path / 'tiny.py').write_text(CONFIG)
    write_words(NAMES, ROWS, torch.eye(4))
    torch.save(tower(), tmp_path / 'clip.pt')
    images = [
        dict(id=f'tiny_{i}', path=f'JPEGImages/tiny_{i}.jpg', labels=[i % 4])
        for i in range(8)
    ]
    (tmp_path / 'list.json').write_text(
        json.dumps(dict(classes=NAMES, images=images)))
    return (tmp_path / 'tiny.py', tmp_path / 'clip.pt', '--data', tiny_voc,
            '--list', tmp_path / 'list.json', '--work-dir', tmp_path / 'work')


def test_labels(place, tiny_voc, tmp_path, call_tool, capsys):
    call_tool('test', *place)
    shown = capsys.readouterr().out
    rows = dict(re.findall(r'^(\w+)  +\w+ +(\d.*)$', shown, re.MULTILINE))
    assert set(rows) == set(NAMES)
    assert all(row.split() == ['2', '100.00', '25.00']
               for row in rows.values())
    known = json.loads((tmp_path / 'work/prompts.json').read_text())
    assert known == {name: dict(AP=100., chance=25.) for name in NAMES}
    folder = tmp_path / 'work' / 'pseudo_labels'
    dump = Dump.open(str(folder))
    assert dump.names == ('background', *NAMES) and len(dump.ids) == 8
    assert dump.manifest.supervision == ['I', 'L']
    assert "'all {}'" in dump.manifest.config
    assert dump.read_scores('tiny_5').class_ids.tolist() == [1]
    # an ordinary dump, good and of this origin, for what comes behind
    call_tool('refine_labels', ROOT / 'configs/refine/threshold.py', folder,
              tmp_path / 'new')
    assert Dump.open(str(tmp_path / 'new')).manifest.supervision == ['I', 'L']
    capsys.readouterr()
    call_tool('eval_labels', tmp_path / 'new', tiny_voc / 'SegmentationClass')
    assert float(re.search(r'mIoU\D*([\d.]+)',
                           capsys.readouterr().out)[1]) > 60


@pytest.mark.parametrize('case, words', [
    ('names', ['text.npz', "class 0 is 'rot'", "'red'"]),
    ('model', ['text.npz', 'tiny', 'clip.pt', 'another model']),
    ('text', ['text.npz', 'no such file']),
    ('weights', ['clip.pt', 'no such checkpoint']),
    ('foreign', ['clip.pt', 'cls_token is not in the checkpoint']),
])
def test_bad_input_is_one_line(case, words, place, tmp_path, call_tool, capsys,
                               write_words):
    if case == 'names':
        write_words(['rot', *NAMES[1:]], ROWS, torch.eye(4))
    elif case == 'model':
        torch.save({
            **tower(), 'visual.proj': 2 * torch.eye(4)
        }, tmp_path / 'clip.pt')
    elif case == 'text':
        (tmp_path / 'text.npz').unlink()
    elif case == 'weights':
        (tmp_path / 'clip.pt').unlink()
    else:
        torch.save({'visual.layer1.0.conv1.weight': torch.ones(1)},
                   tmp_path / 'clip.pt')
    with pytest.raises(SystemExit) as leaving:
        call_tool('test', *place)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert leaving.value.code == 2 and line.startswith('error: ')
    assert all(word in line for word in words), line
    assert not (tmp_path / 'work' / 'pseudo_labels' / 'ids.txt').exists()


def test_scales_and_flips(place, tmp_path, call_tool):
    call_tool('test', *place, '--tta')
    dump = Dump.open(str(tmp_path / 'work' / 'pseudo_labels'))
    assert dump.manifest.supervision == ['I', 'L']
    # the largest of the sizes, 512, in patches of 16
    assert dump.read_scores('tiny_2').maps.shape == (1, 32, 32)
    assert dump.read_label('tiny_2')[20, 18] == 3


def test_inferencer_says_where_labels_are_from(place, tiny_voc, tmp_path):
    inferencer = GroupCAMInferencer(
        str(place[0]),
        str(place[1]),
        device='cpu',
        classes=NAMES,
        bg_threshold=.5,
        show_progress=False)
    result, = inferencer(
        str(tiny_voc / 'JPEGImages' / 'tiny_1.jpg'),
        tags=['green'],
        out_dir=str(tmp_path / 'out'))
    assert result['label'][20, 16] == 2 and not result['label'][:5].any()
    manifest = Dump.open(str(tmp_path / 'out')).manifest
    assert manifest.supervision == ['I', 'L']


@pytest.fixture
def head(write_words):
    text = write_words(NAMES, ROWS, torch.eye(4))
    return MODELS.build(
        dict(type='group_wsss.TextCAMHead', text=text, scale=3.))


def test_maps_are_of_the_tags_alone(head):
    torch.manual_seed(0)
    feats = torch.randn(2, 4, 3, 5)
    samples = [
        DataSample().set_gt_label([2, 0, 2]),
        DataSample().set_gt_label([])
    ]
    one, none = head.predict((feats, ), samples)
    words = torch.from_numpy(head.text.features)
    assert one.class_ids.tolist() == [0, 2
                                      ] and none.class_maps.shape == (0, 3, 5)
    score = torch.zeros(4)
    for i in range(3):
        for j in range(5):
            unit = feats[0, :, i, j] / feats[0, :, i, j].norm()
            e = (3 * words @ unit).exp()
            known = e[0] + e[2] + e[4]
            torch.testing.assert_close(one.class_maps[:, i, j],
                                       torch.stack([e[0], e[2]]) / known)
            score += e[:4] / e.sum() / 15
    # the score knows nothing of tags
    torch.testing.assert_close(one.pred_score, score)
    alone, = head.predict((feats[:1], ), [DataSample().set_gt_label([1])])
    torch.testing.assert_close(alone.pred_score, one.pred_score)


def test_padding_takes_no_part(head):
    feats = torch.randn(1, 4, 3, 5)
    padded, small = (
        DataSample(metainfo=dict(map_shape=(2, 3))).set_gt_label([1])
        for _ in range(2))
    head.predict((feats, ), [padded])
    head.predict((feats[..., :2, :3], ), [small])
    torch.testing.assert_close(padded.class_maps, small.class_maps)
    torch.testing.assert_close(padded.pred_score, small.pred_score)


def test_head_refuses(head, tmp_path):
    with pytest.raises(InputError, match='text.npz: words have 4 channels'):
        head.predict((torch.rand(1, 5, 2, 2), ))
    with pytest.raises(InputError, match='nothing to train'):
        head.loss((torch.rand(1, 4, 2, 2), ), [])
    with pytest.raises(InputError, match='scale of TextCAMHead is 0'):
        type(head)(str(tmp_path / 'text.npz'), scale=0)


def test_config_is_that_of_clip_b16(write_words):
    write_words(NAMES, ROWS, torch.eye(4))
    cfg = Config.fromfile(ROOT / 'configs/words/custom.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device(
            'meta'):
        backbone = MODELS.build(cfg.model.backbone)
    shapes = {k: tuple(v.shape) for k, v in backbone.state_dict().items()}
    assert shapes['proj.weight'] == (512, 768)
    assert shapes['pos_embed'] == (1, 197, 768)
    assert shapes['layers.11.attn.qkv.weight'] == (2304, 768)
    assert cfg.model.freeze_backbone and cfg.train_dataloader is None


def test_weights_of_a_whole_model(place):
    """Those of CLIP go to the backbone, those of ours where they were."""
    cfg = Config.fromfile(place[0])
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        one, two = MODELS.build(cfg.model), MODELS.build(cfg.model)
    load_weights(one, tower(), 'clip.pt')
    assert torch.equal(one.backbone.proj.weight, torch.eye(4))
    assert not any(p.requires_grad for p in one.backbone.parameters())
    load_weights(two, one.state_dict(), 'own.pth')
    for key, value in two.state_dict().items():
        assert torch.equal(value, one.state_dict()[key])


def test_doubtful_words_come_first(tmp_path):
    """Of three classes one is found, one by chance, one has no image."""
    about = dict(classes=['a', 'b', 'c'], words=[['a'], ['b'], ['c']])
    hook, told = CheckPrompts(), []
    hook.head = SimpleNamespace(text=SimpleNamespace(about=about))
    hook.found = {
        str(i): (np.array(score), np.array([i % 2]))
        for i, score in enumerate([[.9, .5, 0.], [.1, .4, 0.], [.8, .6, 0.]])
    }
    hook.after_test(
        SimpleNamespace(
            work_dir=str(tmp_path), logger=SimpleNamespace(info=told.append)))
    rows = re.findall(r'^([abc]) ', told[0], re.MULTILINE)
    assert rows == ['b', 'a']
    known = json.loads((tmp_path / 'prompts.json').read_text())
    assert known['c'] == dict(AP=0., chance=0.) and known['a']['AP'] == 100
