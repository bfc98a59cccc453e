# Copyright (c) group_wsss contributors. All rights reserved.
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.apis import inference_model, init_model

from group_wsss.pseudo_labels import Segmentor
from group_wsss.pseudo_labels.refiners import segmentor
from group_wsss.registry import MODELS
from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
CONFIG = str(ROOT / 'configs/deeplabv3/deeplabv3_tiny_toy.py')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    cfg = Config.fromfile(CONFIG)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        net = MODELS.build(cfg.model)
    # logits far enough apart that a wrong row or flip shows
    net.decode_head.conv_seg.weight.data.normal_(std=30)
    path = tmp_path_factory.mktemp('seg') / 'net.pth'
    meta = dict(dataset_meta=dict(classes=('a', ), palette=[[0, 0, 0]]))
    torch.save(dict(state_dict=net.state_dict(), meta=meta), path)
    return str(path)


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=0).repeat(14, axis=1)


def test_logits_are_those_of_mmseg(checkpoint, image):
    net = init_model(CONFIG, checkpoint, device='cpu')
    want = inference_model(net, np.ascontiguousarray(image[:, :, ::-1]))
    got = Segmentor(CONFIG, checkpoint, device='cpu').logits(image)
    assert got.shape == (7, 64, 70)
    torch.testing.assert_close(got, want.seg_logits.data)
    assert got.argmax(0).unique().numel() > 1


@pytest.mark.parametrize('map_weight', (0, .5, 1))
def test_against_the_formula(checkpoint, image, map_weight):
    refiner = Segmentor(
        CONFIG, checkpoint, map_weight, bg_threshold=.3, device='cpu')
    maps = np.random.default_rng(1).random((2, 64, 70), dtype=np.float32)
    maps[0, :9] = 0
    score_map = ScoreMap('x', (64, 70), [1, 4], maps)
    got = refiner(score_map, image)
    logits = refiner.logits(image).double().numpy()
    net = np.exp(logits[[0, 2, 5]])
    own = np.concatenate([np.full((1, 64, 70), .3), maps])
    own = np.maximum(own / own.sum(0), 1e-4)
    both = net * own**map_weight
    want = both[1:] / (both[1:].max(0) + both[0])
    np.testing.assert_allclose(got.maps, want, atol=2e-5)
    assert got.class_ids.tolist() == [1, 4]


def test_labels_of_a_large_image(checkpoint, image, monkeypatch):
    refiner = Segmentor(CONFIG, checkpoint, device='cpu')
    want = refiner.logits(image).argmax(0).numpy()
    assert len(np.unique(want)) > 1
    np.testing.assert_array_equal(refiner.label(image), want)
    monkeypatch.setattr(segmentor, 'STRIP', 64 * 9)  # of one class
    logits, asked = refiner.logits, []
    refiner.logits = lambda *a, **k: asked.append(k) or logits(*a, **k)
    np.testing.assert_array_equal(refiner.label(image), want)
    assert asked == [dict(resize=False)]


def test_scores_of_a_large_image_are_smaller(checkpoint, image):
    refiner = Segmentor(CONFIG, checkpoint, device='cpu', max_pixels=32 * 35)
    small = ScoreMap('x', (64, 70), [2], np.ones((1, 3, 3)))
    assert refiner(small, image).maps.shape == (1, 32, 35)
    seen = refiner.logits(image, resize=False)
    torch.testing.assert_close(
        refiner.logits(image, (32, 35)),
        F.interpolate(seen[None], (32, 35), mode='bilinear')[0])
    refiner.max_pixels = 64 * 70
    assert refiner(small, image).maps.shape == (1, 64, 70)


def test_bad_input(checkpoint, image, tmp_path):
    refiner = Segmentor(CONFIG, checkpoint, device='cpu')
    beyond = ScoreMap('x', (64, 70), [6], np.ones((1, 3, 3)))
    with pytest.raises(InputError, match='class id 6.* 7 classes'):
        refiner(beyond, image)
    empty = str(tmp_path / 'empty.pth')
    torch.save(dict(state_dict={}), empty)
    for config, weights, words in ((CONFIG, 'nowhere.pth',
                                    'nowhere.pth: no such checkpoint'),
                                   (CONFIG, empty, 'empty.pth: does not fit'),
                                   ('nowhere.py', checkpoint, 'nowhere.py'),
                                   (dict(default_scope='mmseg'), checkpoint,
                                    'Segmentor has no model')):
        with pytest.raises(InputError, match=words):
            Segmentor(config, weights)
