# Copyright (c) group_wsss contributors. All rights reserved.
import copy
import os

import pytest
import torch
import torch.distributed as dist
import torch.nn as nn
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils import is_list_of
from mmpretrain.structures import DataSample
from torch.utils._python_dispatch import TorchDispatchMode

from group_wsss.models import GroupCAM
from group_wsss.utils.errors import InputError

LABELS = [[1, 3], [], [0], [4]]
LOGIT = dict(num_convs=0, num_classes=5)  # logit nodes
SEAM = dict(scale=0.5, in_channels=8, embed_channels=4)


def backbone(stride=2):
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=stride, padding=1), nn.BatchNorm2d(6),
        nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1))


def build(neck=None,
          head=None,
          scope='group_wsss',
          seed=0,
          logit=False,
          **kwargs):
    torch.manual_seed(seed)
    if neck is not False:
        neck = dict(
            type='group_wsss.CoAttentionGNN', in_channels=8, **(neck or {}))
        if logit:
            neck['projection'] = dict(LOGIT, **neck.get('projection', {}))
    head = {
        'type': 'group_wsss.GroupCAMHead',
        'in_channels': None if logit else 8,
        'num_classes': 5,
        **(head or {})
    }
    if 'recam' in head:
        head['type'] = 'group_wsss.ReCAMHead'
    cfg = dict(
        type='group_wsss.GroupCAM',
        backbone=backbone(),
        neck=neck or None,
        head=head)
    if 'equivariance' in kwargs:
        cfg['type'] = 'group_wsss.SEAMGroupCAM'
    cfg.update(kwargs)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg)


def samples(k=1, labels=LABELS):
    """Samples in groups of ``k``, or in the slots given; None: in none."""
    out = [DataSample().set_gt_label(x) for x in labels]
    slots = [i % k for i in range(len(out))] if isinstance(k, int) else k
    for sample, slot in zip(out, slots or []):
        if slot is not None:
            sample.set_metainfo(dict(group_slot=slot))
    return out


def plain_cam(model, x):
    if model.with_neck:
        return model.head.classifier(model.neck.project(model.backbone(x)))
    return model.head.classifier(model.backbone(x))


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'group_wsss'])
def test_defaults_in_every_scope(scope):
    model = build(scope=scope)
    name = type(model.data_preprocessor).__name__
    assert name == 'GroupDataPreprocessor'
    assert type(model.head.loss_module).__module__.startswith('mmpretrain.')
    assert model.neck.group_size is None


@pytest.mark.parametrize('logit', [False, True])
@pytest.mark.parametrize('options, k', [(dict(neck=dict(num_steps=0)), 4),
                                        (dict(), 1)])
def test_no_graph_is_plain_cam_bit_for_bit(logit, options, k):
    model = build(logit=logit, **options)
    model.backbone.eval()  # one batch statistic for both
    x = torch.randn(4, 3, 16, 20)
    maps, group_maps = model(x, samples(k))
    assert group_maps is maps
    assert torch.equal(maps, plain_cam(model, x))
    losses = model(x, samples(k), mode='loss')
    assert list(losses) == ['loss_cam']
    target = torch.zeros(4, 5)
    for row, ids in enumerate(LABELS):
        target[row, ids] = 1
    want = nn.functional.binary_cross_entropy_with_logits(
        plain_cam(model, x).mean((2, 3)), target)
    torch.testing.assert_close(losses['loss_cam'], want)
    for weight in model.parameters():
        if weight.requires_grad:
            got, = torch.autograd.grad(
                losses['loss_cam'],
                weight,
                retain_graph=True,
                allow_unused=True)
            other, = torch.autograd.grad(
                want, weight, retain_graph=True, allow_unused=True)
            assert (got is None) == (other is None)
            if got is not None:
                torch.testing.assert_close(got, other)


def test_without_a_neck():
    model = build(neck=False)
    model.backbone.eval()
    x = torch.randn(4, 3, 16, 20)
    maps, group_maps = model(x, samples(2))
    assert group_maps is maps and torch.equal(maps, plain_cam(model, x))


@pytest.mark.parametrize('logit, share', [(False, True), (False, False),
                                          (True, True)])
def test_maps_before_and_after(logit, share):
    model = build(
        logit=logit,
        neck=dict(dropout=None),
        head=dict(share_classifier=share))
    x = torch.randn(4, 3, 16, 16)
    model.backbone.eval()
    maps, group_maps = model(x, samples(2))
    feats = model.extract_feat(x, samples(2))
    before = model.backbone(x)
    if logit:
        before = model.neck.projection.classifier(before)
    after = model.neck.propagate(before, 2)
    torch.testing.assert_close(feats.before, before)
    torch.testing.assert_close(feats.after, after)
    reader = model.head.classifier if share else model.head.graph_classifier
    torch.testing.assert_close(maps, model.head.classifier(before))
    torch.testing.assert_close(group_maps, reader(after))
    losses = model(x, samples(2), mode='loss')
    assert set(losses) == {'loss_cam', 'loss_graph'}
    total, log = model.parse_losses(losses)
    total.backward()
    assert all(p.grad is not None for p in model.parameters())
    torch.testing.assert_close(log['loss'].item(),
                               sum(v.item() for v in losses.values()))


def test_projection_is_between_backbone_and_graph():
    model = build(
        neck=dict(projection=dict(num_convs=2, channels=6)),
        head=dict(in_channels=6))
    model.init_weights()
    model.backbone.eval()
    x = torch.randn(4, 3, 16, 16)
    want = model.backbone(x)
    for conv in model.neck.projection.convs[::2]:
        want = nn.functional.conv2d(
            want, conv.weight, conv.bias, padding=1).relu()
    feats = model.extract_feat(x, samples(2))
    torch.testing.assert_close(feats.before, want)
    assert feats.after.shape == feats.before.shape == (4, 6, 8, 8)
    logit = build(
        logit=True, neck=dict(projection=dict(num_convs=1, channels=8)))
    logit.init_weights()
    part = logit.neck.projection
    assert part.classifier.weight.std() < 0.03 < part.convs[0].weight.std()


@pytest.mark.parametrize('wanted', [False, True])
def test_training_prepares_maps_on_demand(wanted):
    model = build()
    model.attach_class_maps = wanted
    x, data = torch.randn(4, 3, 16, 16), samples(2)
    torch.manual_seed(3)
    model(x, data, mode='loss')
    if not wanted:
        assert not any('class_maps' in sample for sample in data)
        return
    torch.manual_seed(3)
    maps, group_maps = model(x, samples(2))
    mean = ((maps + group_maps) / 2).relu()
    for i, ids in enumerate(LABELS):
        assert data[i].class_ids.tolist() == ids
        assert not data[i].class_maps.requires_grad
        torch.testing.assert_close(data[i].class_maps, mean[i, ids])
        torch.testing.assert_close(data[i].pred_score, group_maps[i].mean(
            (1, 2)).sigmoid())


class Calls(TorchDispatchMode):
    """Names of all operations."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('key', ['learned', 'whitened', 'contrast'])
def test_a_step_waits_for_nothing(key):
    model = build(
        neck=dict(coattention=dict(key=key, key_channels=4, normalize=True)))
    model(torch.randn(4, 3, 16, 16), samples(2), mode='loss')
    with Calls() as calls:
        losses = model(torch.randn(4, 3, 16, 16), samples(2), mode='loss')
        sum(losses.values()).backward()
    assert 'convolution' in calls.names
    for name in calls.names:
        assert 'unique' not in name
        assert name not in ('nonzero', '_local_scalar_dense', 'equal')


@pytest.mark.parametrize('source', ['graph', 'cam', 'mean'])
def test_predict_gives_anchors_only(source):
    model = build(head=dict(map_source=source)).eval()
    x = torch.randn(4, 3, 16, 16)
    out = model(x, samples([0, 1, 0, 1]), mode='predict')
    assert is_list_of(out, DataSample) and len(out) == 2
    feat = model.backbone(x)
    node = model.neck.propagate(feat, 2)
    maps, group_maps = (model.head.classifier(f) for f in (feat, node))
    chosen = dict(cam=maps, graph=group_maps, mean=(maps + group_maps) / 2)
    for sample, i in zip(out, (0, 2)):
        assert sample.class_ids.tolist() == LABELS[i]
        torch.testing.assert_close(sample.class_maps,
                                   chosen[source][i, LABELS[i]].relu())
        torch.testing.assert_close(sample.pred_score, group_maps[i].mean(
            (1, 2)).sigmoid())
        assert not sample.class_maps.requires_grad


def test_predict_alone_and_without_samples():
    model = build().eval()
    x = torch.randn(4, 3, 16, 16)
    out = model(x, samples(None), mode='predict')
    assert len(out) == 4
    torch.testing.assert_close(out[0].class_maps,
                               plain_cam(model, x)[0, LABELS[0]].relu())
    out = model(x, None, mode='predict')
    assert len(out) == 4
    assert out[0].class_ids.tolist() == out[0].pred_label.tolist()


def test_training_without_slots():
    x = torch.randn(4, 3, 16, 16)
    with pytest.raises(InputError, match='group_slot.*collate_fn.*neck'):
        build()(x, samples(None), mode='loss')
    # where the neck says it, as in a foreign model; where nothing is sent
    losses = build(neck=dict(group_size=2))(x, samples(None), mode='loss')
    assert set(losses) == {'loss_cam', 'loss_graph'}
    for options in (dict(neck=False), dict(neck=dict(num_steps=0))):
        losses = build(**options)(x, samples(None), mode='loss')
        assert set(losses) == {'loss_cam'}


@pytest.mark.parametrize('logit', [False, True])
def test_images_of_different_sizes(logit):
    model = build(
        logit=logit,
        neck=dict(projection=dict(num_convs=2, channels=8))).eval()
    images = [torch.randn(3, h, w) for h, w in [(16, 20), (9, 24), (12, 12)]]
    data = samples(None, labels=[[0, 2], [1], [4]])
    prepared = model.data_preprocessor(dict(inputs=images, data_samples=data))
    # groups of one: the padding changes nothing
    out = model(**prepared, mode='predict')
    for image, sample in zip(images, out):
        want = plain_cam(model, image[None])[0]
        torch.testing.assert_close(sample.class_maps,
                                   want[sample.class_ids].relu())
        torch.testing.assert_close(sample.pred_score,
                                   want.mean((1, 2)).sigmoid())
    # one group: pair by pair, without padding
    for slot, sample in enumerate(data):
        sample.set_metainfo(dict(group_slot=slot))
    anchor, = model(**prepared, mode='predict')
    states = [
        model.neck.project(model.backbone(image[None])) for image in images
    ]
    part = model.neck.coattention
    for _ in range(3):
        new = []
        for i in range(3):
            total = 0
            for j in {0, 1, 2} - {i}:
                query = part.query(states[i]).flatten(2)[0]
                key = part.key(states[j]).flatten(2)[0]
                weight = torch.einsum('dn,dm->nm', query, key).softmax(1)
                m = torch.einsum('nm,cm->cn', weight, states[j][0].flatten(1))
                m = m.view_as(states[i])
                total = total + torch.sigmoid(part.gate(m)) * m
            new.append(model.neck.gru(total / 2, states[i]))
        states = new
    want = model.head.classifier(states[0])
    torch.testing.assert_close(anchor.class_maps, want[0, [0, 2]].relu())


def test_input_errors():
    with pytest.raises(InputError, match='batch of 3.*group_size 2'):
        build(neck=dict(group_size=2))(torch.randn(3, 3, 16, 16))
    with pytest.raises(InputError, match='group_size >= 1'):
        build(neck=dict(group_size=0))
    with pytest.raises(InputError, match='map_source'):
        build(head=dict(map_source='best'))
    with pytest.raises(InputError, match='maps of 6 channels.*head is 8'):
        build(neck=dict(projection=dict(num_convs=1, channels=6)))
    with pytest.raises(InputError, match='share_classifier'):
        build(logit=True, head=dict(share_classifier=False))
    with pytest.raises(InputError, match='in_channels cannot be None'):
        build(logit=True, head=dict(recam=dict()))
    with pytest.raises(InputError, match='head'):
        MODELS.build(dict(type='group_wsss.GroupCAM', backbone=backbone()))
    with pytest.raises(
            InputError, match=r'Sequential gives no map .*\(4, 8\)'):
        build(
            neck=False,
            backbone=nn.Sequential(backbone(), nn.AdaptiveAvgPool2d(1),
                                   nn.Flatten()))(
                                       torch.randn(4, 3, 16, 16))


def test_subclasses_add_and_change_nothing():
    off, on = build(), build(head=dict(recam=dict()), equivariance=SEAM)
    added = set(on.state_dict()) - set(off.state_dict())
    assert added == {
        'head.recam_classifier.weight', 'equivariance.correlation.embed.weight'
    }
    on.load_state_dict(off.state_dict(), strict=False)
    x = torch.randn(4, 3, 16, 16)
    off.eval(), on.eval()
    for a, b in zip(off(x, samples(2)), on(x, samples(2))):
        assert a.shape[1] == 5
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    'slots', [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 2, 0], [0, 1, None, None]])
def test_broken_groups(slots):
    model = build().eval()
    with pytest.raises(InputError, match='group_slot'):
        model(torch.randn(4, 3, 16, 16), samples(slots), mode='predict')


def test_padded_training_batch():
    images = [torch.randn(3, h, w) for h, w in [(16, 20), (8, 24)]]
    losses = []
    for pad_train in (True, False):
        model = build(
            neck=dict(dropout=None),
            data_preprocessor=dict(pad_train=pad_train))
        model.attach_class_maps = True
        model.backbone = nn.Conv2d(3, 8, 1, stride=2)  # sees no padding
        torch.manual_seed(0)
        model.backbone.reset_parameters()
        data = model.data_preprocessor(
            dict(inputs=images, data_samples=samples(2, labels=[[0], [1]])),
            True)
        assert isinstance(data['inputs'], torch.Tensor) == pad_train
        losses.append(model(**data, mode='loss'))
        shapes = [s.class_maps.shape for s in data['data_samples']]
        assert shapes == [(1, 8, 10), (1, 4, 12)]
    for name in ('loss_cam', 'loss_graph'):
        torch.testing.assert_close(losses[0][name], losses[1][name])


def test_frozen_backbone():
    model = build(freeze_backbone=True).train()
    assert not model.backbone.training and model.neck.training
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], 0.1)
    losses = model(torch.randn(4, 3, 16, 16), samples(2), mode='loss')
    sum(losses.values()).backward()
    optimizer.step()
    assert all(p.grad is None for p in model.backbone.parameters())
    leaf = torch.randn(4, 3, 16, 16, requires_grad=True)
    assert not model.backbone_maps(leaf)[0].requires_grad
    assert model.head.classifier.weight.grad.abs().sum() > 0
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, before[name])


def test_autocast():
    model = build()
    model.attach_class_maps = True
    with torch.autocast('cpu', dtype=torch.bfloat16):
        data = samples(2)
        losses = model(torch.randn(4, 3, 16, 16), data, mode='loss')
    assert all(torch.isfinite(v) for v in losses.values())
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert data[0].class_maps.dtype == torch.float32


def test_channels_last():
    x, outs, state = torch.randn(4, 3, 16, 16), [], None
    for change in (False, True):
        model = build(
            channels_last=change,
            neck=dict(dropout=None, projection=dict(num_convs=1, channels=8)))
        model.attach_class_maps = True
        model.init_weights()
        last = torch.channels_last
        # numbers are drawn in the order of the memory
        model.load_state_dict(state or model.state_dict())
        state = copy.deepcopy(model.state_dict())
        for p in model.parameters():
            if p.dim() == 4 and min(p.shape[1:]) > 1:
                assert p.is_contiguous(memory_format=last) == change
        feat = model.backbone(x)
        assert feat.is_contiguous(memory_format=last) == change
        data = samples(2)
        losses = model(x, data, mode='loss')
        sum(losses.values()).backward()
        outs.append((losses['loss_graph'], data[0].class_maps,
                     *[p.grad for p in model.parameters()]))
    for one, two in zip(*outs):
        torch.testing.assert_close(one, two)


@pytest.mark.slow
def test_compiled_parts_and_checkpointing():
    x = torch.randn(4, 3, 16, 16)
    outs = []
    for change in ('no', 'compile', 'with_cp'):
        model = build(neck=dict(dropout=None, with_cp=change == 'with_cp'))
        if change == 'compile':
            model.backbone = torch.compile(model.backbone, backend='aot_eager')
            model.neck.propagate = torch.compile(
                model.neck.propagate, backend='aot_eager')
        losses = model(x, samples(2), mode='loss')
        sum(losses.values()).backward()
        outs.append((losses['loss_graph'], model.head.classifier.weight.grad))
    for loss, grad in outs[1:]:
        torch.testing.assert_close(loss, outs[0][0])
        torch.testing.assert_close(grad, outs[0][1])


@pytest.fixture
def gloo(tmp_path):
    if dist.is_initialized():
        pytest.skip('another process group is open')
    dist.init_process_group(
        'gloo',
        init_method=(tmp_path / 'store').as_uri(),
        world_size=1,
        rank=0)
    yield
    dist.destroy_process_group()
    os.environ.pop('TORCH_DISTRIBUTED_DEBUG', None)


@pytest.mark.parametrize('options', [
    dict(),
    dict(logit=True, neck=dict(aggregation='concat', group_size=2)),
    dict(neck=dict(num_steps=0)),
    dict(freeze_backbone=True, neck=dict(with_cp=True)),
    dict(head=dict(recam=dict())),
    dict(neck=dict(num_steps=0), head=dict(recam=dict())),
    dict(equivariance=SEAM),
    dict(neck=dict(num_steps=0), equivariance=dict(ecr_weight=0)),
])
def test_ddp(gloo, options):
    model = nn.parallel.DistributedDataParallel(build(**options))
    # a second step fails if a parameter was left unused in the first
    for _ in range(2):
        losses = model(torch.randn(4, 3, 16, 16), samples(2), mode='loss')
        sum(losses.values()).backward()
    for name, p in model.module.named_parameters():
        assert not p.requires_grad or p.grad is not None, name


@pytest.mark.parametrize('k', [1, 4])
@pytest.mark.parametrize('options', [
    dict(head=dict(recam=dict())),
    dict(equivariance=dict(scale=0.5)),
    dict(equivariance=SEAM),
    dict(logit=True, equivariance=SEAM),
    dict(head=dict(recam=dict()), equivariance=dict(scale=0.5)),
])
def test_a_step_lowers_the_loss(k, options):
    model = build(neck=dict(dropout=None), **options)
    optimizer = torch.optim.SGD(model.parameters(), 0.02)
    x, totals = torch.randn(4, 3, 16, 16), []
    for _ in range(4):
        losses = model(x, samples(k), mode='loss')
        total = sum(losses.values())
        totals.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals == sorted(totals, reverse=True)
    assert ('loss_er' in losses) == ('equivariance' in options)
    assert ('loss_cam_recam' in losses) == ('head' in options)
    assert ('loss_graph' in losses) == (k > 1)


@pytest.mark.parametrize('k', [1, 2])
@pytest.mark.parametrize('source', ['graph', 'cam'])
def test_losses_of_two_views(k, source):
    model = build(
        neck=dict(dropout=None),
        head=dict(recam=dict()),
        equivariance=dict(SEAM, map_source=source))
    model.backbone.eval()
    x, target = torch.randn(4, 3, 16, 16), torch.zeros(4, 5)
    for row, ids in enumerate(LABELS):
        target[row, ids] = 1
    small = nn.functional.avg_pool2d(x, 2)
    got = model(x, samples(k), mode='loss')
    one, other = (GroupCAM.loss(model, v, samples(k)) for v in (x, small))
    for name in one:
        want = (one[name] + other[name]) / 2
        if source == 'cam' and 'graph' in name:
            want = one[name]  # the graph does not see the second view
        torch.testing.assert_close(got[name], want)
    # logits agree, not the re-activated maps
    views = [(model(v, samples(k))[source == 'graph'], model.backbone(v), None)
             for v in (x, small)]
    for name, want in model.equivariance(*views, target).items():
        torch.testing.assert_close(got[name], want)
    assert set(got) == {*one, 'loss_er', 'loss_ecr'}


def test_second_view_of_padded_images():
    images = [torch.randn(3, h, w) for h, w in [(16, 32), (8, 24)]]
    losses = []
    for pad_train in (True, False):
        model = build(
            neck=dict(dropout=None),
            equivariance=dict(scale=0.5),
            data_preprocessor=dict(pad_train=pad_train))
        model.backbone = nn.Conv2d(3, 8, 1, stride=2)  # sees no padding
        torch.manual_seed(0)
        model.backbone.reset_parameters()
        data = model.data_preprocessor(
            dict(inputs=images, data_samples=samples(2, labels=[[0], [1]])),
            True)
        losses.append(model(**data, mode='loss'))
    for name, value in losses[0].items():
        torch.testing.assert_close(value, losses[1][name])


def test_refined_predictions():
    options = dict(equivariance=dict(refine=True))
    model = build(**options).eval()
    images = [torch.randn(3, h, w) for h, w in [(16, 20), (9, 24)]]
    data = model.data_preprocessor(
        dict(inputs=images, data_samples=samples([0, 1], [[0, 2], [1]])))
    refined = model(**data, mode='predict')[0].class_maps
    model.equivariance.refine = False
    plain, = model(**data, mode='predict')
    feat = model.backbone(images[0][None])[0]
    want = model.equivariance.refine_maps(plain.class_maps, feat)
    torch.testing.assert_close(refined, want)
    # one tensor, groups of one: each by its own features
    x, alone = torch.randn(2, 3, 16, 20), [[0, 1, 2, 3, 4]] * 2
    plain = model(x, samples(None, labels=alone), mode='predict')
    model.equivariance.refine = True
    refined = model(x, samples(None, labels=alone), mode='predict')
    for image, one, other in zip(x, plain, refined):
        want = model.equivariance.refine_maps(one.class_maps,
                                              model.backbone(image[None])[0])
        assert want.any()
        torch.testing.assert_close(other.class_maps, want)


def test_autocast_of_the_added_losses():
    model = build(head=dict(recam=dict()), equivariance=SEAM)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(torch.randn(4, 3, 16, 16), samples(2), mode='loss')
    for name in ('loss_cam_recam', 'loss_graph_recam', 'loss_er', 'loss_ecr'):
        assert losses[name].dtype == torch.float32
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_gradients_of_a_frozen_backbone_reach_the_rest():
    model = build(
        freeze_backbone=True, head=dict(recam=dict()), equivariance=SEAM)
    losses = model(torch.randn(4, 3, 16, 16), samples(2), mode='loss')
    for name, part in (('loss_cam_recam', model.head.recam_classifier),
                       ('loss_er', model.head.classifier),
                       ('loss_ecr', model.equivariance.correlation.embed)):
        grad, = torch.autograd.grad(
            losses[name], part.weight, retain_graph=True)
        assert grad.abs().sum() > 0
    sum(losses.values()).backward()
    assert all(p.grad is None for p in model.backbone.parameters())
