# Copyright (c) group_wsss contributors. All rights reserved.
import copy
import os

import pytest
import torch
import torch.distributed as dist
import torch.nn as nn
from torch.utils._python_dispatch import TorchDispatchMode

from group_wsss.models import GroupCAM
from group_wsss.utils.errors import InputError

LABELS = [[1, 3], [], [0], [4]]
SEAM = dict(scale=0.5, in_channels=8, embed_channels=4)


def plain_cam(model, x):
    feat = model.backbone(x)
    return model.head.classifier(
        model.neck.project(feat) if model.with_neck else feat)


@pytest.mark.parametrize('options, k', [
    (dict(neck=dict(num_steps=0)), 4),
    (dict(neck=dict(num_steps=0), logit=True), 4),
    (dict(), 1),
    (dict(neck=None), 2),
])
def test_no_graph_is_plain_cam_bit_for_bit(make, options, k):
    model = make.cam(**options)
    model.backbone.eval()  # one batch statistic for both
    x = torch.randn(4, 3, 16, 20)
    maps, group_maps = model(x, make.samples(k))
    assert group_maps is maps
    assert torch.equal(maps, plain_cam(model, x))
    losses = model(x, make.samples(k), mode='loss')
    assert list(losses) == ['loss_cam']
    want = nn.functional.binary_cross_entropy_with_logits(
        plain_cam(model, x).mean((2, 3)), make.targets())
    torch.testing.assert_close(losses['loss_cam'], want)
    got, other = (
        torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        for loss in (losses['loss_cam'], want))
    torch.testing.assert_close([g for g in got if g is not None],
                               [g for g in other if g is not None])


@pytest.mark.parametrize('logit, share', [(False, True), (False, False),
                                          (True, True)])
def test_maps_before_and_after(make, logit, share):
    model = make.cam(
        logit=logit,
        neck=dict(dropout=None),
        head=dict(share_classifier=share))
    x = torch.randn(4, 3, 16, 16)
    model.backbone.eval()
    maps, group_maps = model(x, make.samples(2))
    before = model.neck.project(model.backbone(x))
    after = model.neck.propagate(before, 2)
    reader = model.head.classifier if share else model.head.graph_classifier
    torch.testing.assert_close(maps, model.head.classifier(before))
    torch.testing.assert_close(group_maps, reader(after))
    losses = model(x, make.samples(2), mode='loss')
    assert set(losses) == {'loss_cam', 'loss_graph'}
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_projection_is_between_backbone_and_graph(make):
    model = make.cam(
        neck=dict(projection=dict(num_convs=2, channels=6)),
        head=dict(in_channels=6))
    model.init_weights()
    model.backbone.eval()
    x = torch.randn(4, 3, 16, 16)
    want = model.backbone(x)
    for conv in model.neck.projection.convs[::2]:
        want = nn.functional.conv2d(
            want, conv.weight, conv.bias, padding=1).relu()
    feats = model.extract_feat(x, make.samples(2))
    torch.testing.assert_close(feats.before, want)
    assert feats.after.shape == feats.before.shape == (4, 6, 8, 8)
    logit = make.cam(
        logit=True, neck=dict(projection=dict(num_convs=1, channels=8)))
    logit.init_weights()
    part = logit.neck.projection
    assert part.classifier.weight.std() < 0.03 < part.convs[0].weight.std()


def test_training_prepares_maps_on_demand(make):
    model = make.cam()
    x, data = torch.randn(4, 3, 16, 16), make.samples(2)
    model(x, data, mode='loss')
    assert not any('class_maps' in sample for sample in data)
    model.attach_class_maps = True
    torch.manual_seed(3)  # the coin of the dropout
    model(x, data, mode='loss')
    torch.manual_seed(3)
    maps, group_maps = model(x, make.samples(2))
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
def test_a_step_waits_for_nothing(make, key):
    model = make.cam(
        neck=dict(coattention=dict(key=key, key_channels=4, normalize=True)))
    model(torch.randn(4, 3, 16, 16), make.samples(2), mode='loss')
    with Calls() as calls:
        losses = model(torch.randn(4, 3, 16, 16), make.samples(2), mode='loss')
        sum(losses.values()).backward()
    assert 'convolution' in calls.names
    for name in calls.names:
        assert 'unique' not in name
        assert name not in ('nonzero', '_local_scalar_dense', 'equal')


def test_predict_gives_anchors_only(make):
    model = make.cam(head=dict(map_source='mean')).eval()
    x = torch.randn(4, 3, 16, 16)
    out = model(x, make.samples(2), mode='predict')
    maps, group_maps = model(x, make.samples(2))
    assert len(out) == 2
    for sample, i in zip(out, (0, 2)):
        assert sample.class_ids.tolist() == LABELS[i]
        want = (maps + group_maps)[i, LABELS[i]] / 2
        torch.testing.assert_close(sample.class_maps, want.relu())
        torch.testing.assert_close(sample.pred_score, group_maps[i].mean(
            (1, 2)).sigmoid())
        assert not sample.class_maps.requires_grad
    # groups of one, and without samples
    out = model(x, make.samples(None), mode='predict')
    assert len(out) == 4
    torch.testing.assert_close(out[0].class_maps, maps[0, LABELS[0]].relu())
    out = model(x, None, mode='predict')
    assert len(out) == 4
    assert out[0].class_ids.tolist() == out[0].pred_label.tolist()


def test_training_without_slots(make):
    x = torch.randn(4, 3, 16, 16)
    with pytest.raises(InputError, match='group_slot.*collate_fn.*neck'):
        make.cam()(x, make.samples(None), mode='loss')
    # where the neck says it, as in a foreign model; where nothing is sent
    losses = make.cam(neck=dict(group_size=2))(
        x, make.samples(None), mode='loss')
    assert set(losses) == {'loss_cam', 'loss_graph'}
    for options in (dict(neck=None), dict(neck=dict(num_steps=0))):
        losses = make.cam(**options)(x, make.samples(None), mode='loss')
        assert set(losses) == {'loss_cam'}


@pytest.mark.parametrize('logit', [False, True])
def test_images_of_different_sizes(make, logit):
    model = make.cam(
        logit=logit,
        neck=dict(projection=dict(num_convs=2, channels=8))).eval()
    images = [torch.randn(3, h, w) for h, w in [(16, 20), (9, 24), (12, 12)]]
    data = make.samples(None, labels=[[0, 2], [1], [4]])
    prepared = model.data_preprocessor(dict(inputs=images, data_samples=data))
    # groups of one: the padding changes nothing
    out = model(**prepared, mode='predict')
    for image, sample in zip(images, out):
        want = plain_cam(model, image[None])[0]
        torch.testing.assert_close(sample.class_maps,
                                   want[sample.class_ids].relu())
        torch.testing.assert_close(sample.pred_score,
                                   want.mean((1, 2)).sigmoid())
    # one group: the graph sees no padding either
    for slot, sample in enumerate(data):
        sample.set_metainfo(dict(group_slot=slot))
    anchor, = model(**prepared, mode='predict')
    nodes = torch.randn(3, model.neck.out_channels, 8, 12)
    mask = torch.zeros(3, 8, 12, dtype=torch.bool)
    for i, image in enumerate(images):
        own = model.neck.project(model.backbone(image[None]))[0]
        nodes[i, :, :own.shape[1], :own.shape[2]] = own
        mask[i, :own.shape[1], :own.shape[2]] = True
    want = model.head.classifier(model.neck.propagate(nodes, 3, mask))
    torch.testing.assert_close(anchor.class_maps, want[0,
                                                       [0, 2], :8, :10].relu())


@pytest.mark.parametrize('options, words', [
    (dict(neck=dict(group_size=2)), 'batch of 3.*group_size 2'),
    (dict(neck=dict(projection=dict(num_convs=1, channels=6))),
     'maps of 6 channels.*head is 8'),
    (dict(logit=True, head=dict(share_classifier=False)), 'share_classifier'),
    (dict(logit=True, head=dict(recam=dict())), 'in_channels cannot be None'),
    (dict(neck=None,
          backbone=nn.Flatten()), r'Flatten gives no map .*\(3, 768\)'),
])
def test_input_errors(make, options, words):
    with pytest.raises(InputError, match=words):
        make.cam(**options)(torch.randn(3, 3, 16, 16))
    with pytest.raises(InputError, match='head of GroupCAM is missing'):
        GroupCAM(nn.Flatten())


def test_subclasses_add_and_change_nothing(make):
    off, on = make.cam(), make.cam(head=dict(recam=dict()), equivariance=SEAM)
    assert set(on.state_dict()) - set(off.state_dict()) == {
        'head.recam_classifier.weight', 'equivariance.correlation.embed.weight'
    }
    on.load_state_dict(off.state_dict(), strict=False)
    x = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(*(m.eval()(x, make.samples(2))
                                 for m in (off, on)))


@pytest.mark.parametrize(
    'slots', [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 2, 0], [0, 1, None, None]])
def test_broken_groups(make, slots):
    with pytest.raises(InputError, match='group_slot'):
        make.cam().eval()(
            torch.randn(4, 3, 16, 16), make.samples(slots), mode='predict')


@pytest.mark.parametrize('options', [
    dict(),
    dict(equivariance=dict(scale=0.5)),
])
def test_padded_training_batch(make, options):
    images = [torch.randn(3, h, w) for h, w in [(16, 32), (8, 24)]]
    losses = []
    for pad_train in (True, False):
        model = make.cam(
            neck=dict(dropout=None),
            data_preprocessor=dict(pad_train=pad_train),
            **options)
        model.attach_class_maps = True
        model.backbone = nn.Conv2d(3, 8, 1, stride=2)  # sees no padding
        torch.manual_seed(0)
        model.backbone.reset_parameters()
        data = model.data_preprocessor(
            dict(
                inputs=images,
                data_samples=make.samples(2, labels=[[0], [1]])), True)
        assert isinstance(data['inputs'], torch.Tensor) == pad_train
        losses.append(model(**data, mode='loss'))
        shapes = [s.class_maps.shape for s in data['data_samples']]
        assert shapes == [(1, 8, 16), (1, 4, 12)]
    torch.testing.assert_close(*losses)


def test_frozen_backbone(make):
    model = make.cam(freeze_backbone=True).train()
    assert not model.backbone.training and model.neck.training
    before = copy.deepcopy(model.backbone.state_dict())
    losses = model(torch.randn(4, 3, 16, 16), make.samples(2), mode='loss')
    sum(losses.values()).backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    leaf = torch.randn(4, 3, 16, 16, requires_grad=True)
    assert not model.backbone_maps(leaf)[0].requires_grad
    assert model.head.classifier.weight.grad.abs().sum() > 0
    torch.testing.assert_close(model.backbone.state_dict(), before)


def test_autocast(make):
    model = make.cam(head=dict(recam=dict()), equivariance=SEAM)
    model.attach_class_maps = True
    data = make.samples(2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(torch.randn(4, 3, 16, 16), data, mode='loss')
    for name in ('loss_cam_recam', 'loss_graph_recam', 'loss_er', 'loss_ecr'):
        assert losses[name].dtype == torch.float32
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert data[0].class_maps.dtype == torch.float32


def test_channels_last(make):
    x, outs, state = torch.randn(4, 3, 16, 16), [], None
    last = torch.channels_last
    for change in (False, True):
        model = make.cam(
            channels_last=change,
            neck=dict(dropout=None, projection=dict(num_convs=1, channels=8)))
        model.attach_class_maps = True
        model.init_weights()
        # numbers are drawn in the order of the memory
        state = copy.deepcopy(state or model.state_dict())
        model.load_state_dict(state)
        for p in model.parameters():
            if p.dim() == 4 and min(p.shape[1:]) > 1:
                assert p.is_contiguous(memory_format=last) == change
        assert model.backbone(x).is_contiguous(memory_format=last) == change
        data = make.samples(2)
        losses = model(x, data, mode='loss')
        sum(losses.values()).backward()
        outs.append(
            (losses, data[0].class_maps, [p.grad for p in model.parameters()]))
    torch.testing.assert_close(*outs)


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
def test_ddp(make, gloo, options):
    model = nn.parallel.DistributedDataParallel(make.cam(**options))
    # a second step fails if a parameter was left unused in the first
    for _ in range(2):
        losses = model(torch.randn(4, 3, 16, 16), make.samples(2), mode='loss')
        sum(losses.values()).backward()
    for name, p in model.module.named_parameters():
        assert not p.requires_grad or p.grad is not None, name


@pytest.mark.parametrize('k', [1, 2])
@pytest.mark.parametrize('source', ['graph', 'cam'])
def test_losses_of_two_views(make, k, source):
    model = make.cam(
        neck=dict(dropout=None),
        head=dict(recam=dict()),
        equivariance=dict(SEAM, map_source=source))
    model.backbone.eval()
    x = torch.randn(4, 3, 16, 16)
    small = nn.functional.avg_pool2d(x, 2)
    got = model(x, make.samples(k), mode='loss')
    one, other = (GroupCAM.loss(model, v, make.samples(k)) for v in (x, small))
    for name in one:
        want = (one[name] + other[name]) / 2
        if source == 'cam' and 'graph' in name:
            want = one[name]  # the graph does not see the second view
        torch.testing.assert_close(got[name], want)
    # logits agree, not the re-activated maps
    views = [(model(v, make.samples(k))[source == 'graph'], model.backbone(v),
              None) for v in (x, small)]
    for name, want in model.equivariance(*views, make.targets()).items():
        torch.testing.assert_close(got[name], want)
    assert set(got) == {*one, 'loss_er', 'loss_ecr'}


def test_refined_predictions(make):
    model = make.cam(
        equivariance=dict(refine=True),
        data_preprocessor=dict(pad_size_divisor=8)).eval()
    images = [torch.randn(3, h, w) for h, w in [(16, 20), (9, 24)]]
    data = model.data_preprocessor(
        dict(inputs=images, data_samples=make.samples([0, 1], [[0, 2], [1]])))
    refined = model(**data, mode='predict')[0].class_maps
    model.equivariance.refine = False
    plain, = model(**data, mode='predict')
    # of 20 columns four are padding
    feat = model.backbone(data['inputs'][0][None])[0]
    assert feat.shape[1:] == (8, 12) and refined.shape[1:] == (8, 10)
    want = model.equivariance.refine_maps(plain.class_maps, feat[:, :, :10])
    torch.testing.assert_close(refined, want)
    # one tensor, groups of one: each by its own features
    x, alone = torch.randn(2, 3, 16, 20), [[0, 1, 2, 3, 4]] * 2
    plain = model(x, make.samples(None, labels=alone), mode='predict')
    model.equivariance.refine = True
    refined = model(x, make.samples(None, labels=alone), mode='predict')
    for image, one, other in zip(x, plain, refined):
        want = model.equivariance.refine_maps(one.class_maps,
                                              model.backbone(image[None])[0])
        assert want.any()
        torch.testing.assert_close(other.class_maps, want)
