# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from group_wsss.contrib.deployment import (ClassMapGraph, LogitGraph,
                                           export_onnx, verify_onnx)
from group_wsss.utils.errors import InputError

pytest.importorskip('onnx', reason='onnx is not installed')
ort = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
BACKBONE = dict(
    type='mmpretrain.ResNet',
    depth=18,
    stem_channels=4,
    base_channels=4,
    strides=(1, 2, 1, 1),
    out_indices=(3, ))


def stage1(neck=None, head=None, data=None, backbone=BACKBONE, **changes):
    kind = 'SEAMGroupCAM' if 'equivariance' in changes else 'GroupCAM'
    graph = dict(
        type='group_wsss.CoAttentionGNN',
        in_channels=32,
        num_steps=2,
        group_size=3)
    cam = dict(type='group_wsss.GroupCAMHead', in_channels=32, num_classes=4)
    if data is None:
        data = dict(mean=[120., 110., 100.], std=[50., 60., 70.], to_rgb=True)
    torch.manual_seed(0)
    net = MODELS.build(
        dict(
            type=f'group_wsss.{kind}',
            backbone=backbone,
            neck={
                **graph,
                **(neck or {})
            },
            head={
                **cam,
                **(head or {})
            },
            data_preprocessor=data,
            **changes))
    for name, value in net.named_parameters():
        if name.endswith('.classifier.weight'):
            torch.nn.init.normal_(value)
    return net.eval()


def by_hand(net, image):
    """Scores and maps of the anchor from the parts of the network."""
    mean = torch.tensor([120., 110., 100.])[:, None, None]
    std = torch.tensor([50., 60., 70.])[:, None, None]
    with torch.no_grad():
        feats = net.backbone((image - mean) / std)[-1]
        nodes = net.neck.propagate(feats, len(image))
        maps = net.head.classifier(nodes)[:1]
    return maps.mean((2, 3)).sigmoid().numpy(), maps.relu().numpy()


@pytest.mark.slow
@pytest.mark.parametrize('group_size', [1, 3])
def test_stage1(group_size):
    net = stage1()
    graph = ClassMapGraph(net, group_size)
    for dynamic in (False, True):
        data = export_onnx(graph, (32, 40), dynamic, metadata=dict(a='b'))
        session = ort.InferenceSession(data)
        assert session.get_modelmeta().custom_metadata_map == dict(a='b')
        sizes = [(32, 40), (48, 32), (33, 51)] if dynamic else [(32, 40)]
        for size in sizes:
            image = torch.rand(group_size, 3, *size) * 255
            got = session.run(['scores', 'class_maps'],
                              dict(image=image.numpy()))
            for ours, theirs in zip(by_hand(net, image), got):
                np.testing.assert_allclose(theirs, ours, atol=1e-4)
        assert verify_onnx(data, graph, sizes) < 1e-5
        assert not graph.training and not net.training
        if not dynamic:
            with pytest.raises(InputError, match='cannot run the file'):
                verify_onnx(data, graph, [(48, 32)])


@pytest.mark.slow
@pytest.mark.parametrize(
    'options', [
        dict(
            neck=dict(projection=dict(num_convs=0, num_classes=4)),
            head=dict(in_channels=None)),
        dict(head=dict(map_source='mean')),
        dict(head=dict(type='group_wsss.ReCAMHead')),
        dict(head=dict(pooling='topk', share_classifier=False)),
        dict(
            neck=dict(
                self_edge=True,
                channels=8,
                zero_init=False,
                update='mix',
                gamma_init=0.5,
                coattention=dict(softmax='group', normalize=True, scale=9.))),
        dict(neck=dict(coattention=dict(key='whitened'))),
        dict(neck=dict(aggregation='concat')),
        dict(data=dict()),
        dict(
            backbone=dict(type='group_wsss.FeatureCache', backbone=BACKBONE),
            freeze_backbone=True),
    ],
    ids=str)
def test_options(options):
    net = stage1(**options)
    whiten = getattr(net.neck.coattention, 'whiten', None)
    if whiten is not None:
        whiten.train()(torch.randn(2, 32, 9, 9))
        whiten.eval()
    graph = ClassMapGraph(net, 3)
    data = export_onnx(graph, (32, 40), True)
    assert verify_onnx(data, graph, [(32, 40), (48, 36)]) < 1e-4


def test_a_difference_is_found():
    net = stage1()
    graph = ClassMapGraph(net)
    data = export_onnx(graph, (32, 40))
    with torch.no_grad():
        net.head.classifier.bias += 0.01
    with pytest.raises(InputError, match='scores at .* differs from torch'):
        verify_onnx(data, graph, [(32, 40)])
    with pytest.raises(InputError, match='cannot run the file'):
        verify_onnx(data[:100], graph, [(32, 40)])


def test_not_for_export():
    net = stage1(equivariance=dict(refine=True, ecr_weight=0.))
    with pytest.raises(InputError, match='equivariance.refine depends on'):
        ClassMapGraph(net)
    with pytest.raises(InputError, match='group_size is 0'):
        ClassMapGraph(stage1(), 0)
    with pytest.raises(InputError, match='GroupCAM is no segmentor'):
        LogitGraph(stage1())
    graph = ClassMapGraph(stage1(neck=dict(aggregation='concat')), 2)
    with pytest.raises(InputError, match='group_size 3, got 2'):
        export_onnx(graph, (32, 32))


def stage2(neck=None, rgb=True, align_corners=False):
    torch.manual_seed(0)
    cfg = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[120., 110., 100.],
            std=[50., 60., 70.],
            bgr_to_rgb=rgb),
        backbone=dict(BACKBONE, out_indices=(0, 1, 2, 3)),
        neck=neck,
        decode_head=dict(
            type='ASPPHead',
            in_channels=32,
            in_index=3,
            channels=8,
            dilations=(1, 3),
            num_classes=5,
            norm_cfg=dict(type='BN'),
            align_corners=align_corners),
        test_cfg=dict(mode='slide', crop_size=(16, 16), stride=(8, 8)))
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(cfg).eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    'options', [
        dict(),
        dict(rgb=False, align_corners=True),
        dict(
            neck=dict(
                type='group_wsss.CoAttentionGNN',
                in_channels=32,
                self_edge=True)),
    ],
    ids=['plain', 'bgr', 'graph'])
def test_stage2(options):
    net = stage2(**options)
    graph = LogitGraph(net)
    image = torch.rand(1, 3, 40, 56) * 255
    inputs = image if options.get('rgb', True) else image.flip(1)
    mean = torch.tensor([120., 110., 100.])[:, None, None]
    std = torch.tensor([50., 60., 70.])[:, None, None]
    with torch.no_grad():
        logits = net((inputs - mean) / std, mode='tensor')
        want = torch.nn.functional.interpolate(
            logits, (40, 56),
            mode='bilinear',
            align_corners=options.get('align_corners', False))
    for dynamic, size in ((False, (40, 56)), (True, (32, 48))):
        data = export_onnx(graph, size, dynamic)
        got = ort.InferenceSession(data).run(None, dict(image=image.numpy()))
        np.testing.assert_allclose(got[0], want, atol=1e-4)
        assert verify_onnx(data, graph, [(40, 56)]) < 1e-4
