# Copyright (c) group_wsss contributors. All rights reserved.
"""Labels of large images without all maps in memory."""
import tracemalloc

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from group_wsss.pseudo_labels import (SaliencyLabeler, Segmentor,
                                      ThresholdLabeler)
from group_wsss.pseudo_labels.refiners import segmentor
from group_wsss.registry import MODELS
from group_wsss.structures import ScoreMap

LABELERS = [
    ThresholdLabeler(0.5, conflict_threshold=0.8, margin=0.1),
    ThresholdLabeler(0.5, unknown_threshold=0.3, min_foreground=0.2),
    SaliencyLabeler(attention_threshold=0.3, min_foreground=0.0)
]


def maps_of(classes, small, shape):
    rng = np.random.default_rng(sum(small) + sum(shape))
    return ScoreMap('x', shape, range(classes),
                    rng.random((classes, *small), dtype=np.float32))


@pytest.mark.parametrize('small, shape', [((7, 5), (90, 131)),
                                          ((90, 131), (40, 47)),
                                          ((5, 1), (64, 3)), ((9, 9), (9, 9))])
@pytest.mark.parametrize('classes', (0, 1, 4))
def test_one_map_at_a_time_has_the_bytes_of_all(classes, small, shape):
    scores = maps_of(classes, small, shape)
    large = scores.resize()
    assert b''.join(one.tobytes()
                    for one in scores.full_maps()) == large.maps.tobytes()
    for got, want in zip(scores.best(full=True), large.best()):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize('labeler', LABELERS)
def test_memory_does_not_grow_with_classes(labeler):
    """A map of the image is 8 MB, all of them would be 320."""
    scores = maps_of(40, (4, 4), (1000, 2000))
    tracemalloc.start()
    labeler(scores)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6


@pytest.fixture(scope='module')
def refiner(tmp_path_factory):
    """A network of 1x1 convolutions that reads images at 32 pixels."""
    model = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[99.] * 3, std=[30.] * 3),
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            stem_channels=4,
            base_channels=4,
            num_stages=1,
            strides=(1, ),
            dilations=(1, ),
            out_indices=(0, )),
        decode_head=dict(
            type='FCNHead',
            in_channels=4,
            channels=4,
            num_convs=0,
            concat_input=False,
            num_classes=3,
            dropout_ratio=0.,
            align_corners=False),
        test_cfg=dict(mode='whole'))
    config = dict(
        model=model,
        default_scope='mmseg',
        test_pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(64, 32), keep_ratio=True),
            dict(type='PackSegInputs')
        ])
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        net = MODELS.build(model)
    net.decode_head.conv_seg.weight.data.normal_(std=9)
    path = tmp_path_factory.mktemp('strips') / 'net.pth'
    meta = dict(dataset_meta=dict(classes=('background', 'a', 'b')))
    torch.save(dict(state_dict=net.state_dict(), meta=meta), path)
    return Segmentor(Config(config), str(path), device='cpu', max_pixels=3000)


def test_labels_of_a_network(refiner, monkeypatch):
    image = np.random.default_rng(3).integers(
        0, 256, (6, 9, 3), dtype=np.uint8).repeat(20, 0).repeat(17, 1)
    want = refiner.logits(image).argmax(0).numpy()
    assert len(np.unique(want)) > 1
    np.testing.assert_array_equal(refiner.label(image), want)
    monkeypatch.setattr(segmentor, 'STRIP', 3 * 120 * 10)
    asked = []
    ask, refiner.logits = refiner.logits, lambda *a, **k: asked.append(
        k) or ask(*a, **k)
    np.testing.assert_array_equal(refiner.label(image), want)
    del refiner.logits
    assert asked == [dict(resize=False)]


def test_scores_of_a_large_image_are_smaller(refiner):
    rng = np.random.default_rng(3)
    for shape, size in (((50, 60), (50, 60)), ((100, 120), (50, 60))):
        image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        got = refiner(maps_of(2, (4, 4), shape), image)
        assert got.maps.shape == (2, *size) and got.ori_shape == shape
        np.testing.assert_allclose(
            refiner.logits(image, size),
            torch.nn.functional.interpolate(
                refiner.logits(image, resize=False)[None],
                size,
                mode='bilinear')[0],
            atol=1e-5)
