# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import load_state_dict
from mmpretrain.structures import DataSample

from group_wsss.models import GroupCAMHead
from group_wsss.utils.errors import InputError

LABELS = [[1, 3], [], [0], [4, 4]]


def samples(labels=LABELS):
    return [
        DataSample(metainfo=dict(img_id=f'im{i}')).set_gt_label(x)
        for i, x in enumerate(labels)
    ]


def targets():
    out = torch.zeros(4, 5)
    for row, ids in enumerate(LABELS):
        out[row, ids] = 1
    return out


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'group_wsss'])
def test_loss_is_mmpretrains_in_every_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        head = MODELS.build(
            dict(type='group_wsss.GroupCAMHead', in_channels=4, num_classes=5))
    assert type(head.loss_module).__module__.startswith('mmpretrain.')


def test_equals_soft_margin_loss():
    head = GroupCAMHead(4, 5)
    maps, group_maps = torch.randn(2, 4, 5, 6, 7)
    margin = nn.MultiLabelSoftMarginLoss()
    losses = head.loss_by_maps(maps, group_maps, samples())
    assert set(losses) == {'loss_cam', 'loss_graph'}
    torch.testing.assert_close(losses['loss_cam'],
                               0.4 * margin(maps.mean((2, 3)), targets()))
    torch.testing.assert_close(losses['loss_graph'],
                               margin(group_maps.mean((2, 3)), targets()))
    # no graph: one term, of weight 1
    alone = head.loss_by_maps(maps, maps, samples())
    assert list(alone) == ['loss_cam']
    torch.testing.assert_close(alone['loss_cam'],
                               margin(maps.mean((2, 3)), targets()))


def test_in_a_stock_classifier():
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type='mmpretrain.ImageClassifier',
                backbone=nn.Sequential(nn.Conv2d(3, 4, 3), Tuple()),
                head=dict(
                    type='group_wsss.GroupCAMHead',
                    in_channels=4,
                    num_classes=5)))
    x = torch.randn(4, 3, 8, 8)
    loss = model(x, samples(), mode='loss')['loss']
    score = model.head.classifier(model.backbone(x)[-1]).mean((2, 3))
    torch.testing.assert_close(loss,
                               nn.MultiLabelSoftMarginLoss()(score, targets()))
    out = model(x, samples(), mode='predict')
    torch.testing.assert_close(out[0].pred_score, score[0].sigmoid())


class Tuple(nn.Module):

    def forward(self, x):
        return (x, )


@pytest.mark.parametrize('pooling', ['avg', 'max', 'topk'])
@pytest.mark.parametrize('masked', [False, True])
def test_pooling_against_loop(pooling, masked):
    head = GroupCAMHead(4, 5, pooling=pooling, pool_ratio=0.3)
    maps = torch.randn(3, 5, 4, 6)
    valid = torch.zeros(3, 4, 6, dtype=torch.bool)
    for i, (h, w) in enumerate([(4, 6), (1, 1), (3, 5)]):
        valid[i, :h, :w] = True
    if not masked:
        valid[:] = True
    out = head.pool(maps, valid if masked else None)
    for i in range(3):
        for c in range(5):
            values = sorted(maps[i, c][valid[i]].tolist(), reverse=True)
            keep = dict(avg=len(values), max=1, topk=-(-len(values) * 3 // 10))
            values = values[:keep[pooling]]
            assert abs(out[i, c] - sum(values) / len(values)) < 1e-5


@pytest.mark.parametrize('source', ['graph', 'cam', 'mean'])
def test_predict(source):
    head = GroupCAMHead(4, 5)
    maps, group_maps = torch.randn(2, 3, 5, 4, 4)
    data = samples([[3, 1], [], [2]])
    del data[2].gt_label
    sizes = [(4, 4), (2, 3), (1, 4)]
    out = head.predict_by_maps(
        maps, group_maps, data, sizes=sizes, map_source=source)
    chosen = dict(graph=group_maps, cam=maps, mean=(maps + group_maps) / 2)
    score = group_maps.mean((2, 3)).sigmoid()
    torch.testing.assert_close(out[0].pred_score, score[0])
    assert out[0].class_ids.tolist() == [1, 3]  # sorted
    torch.testing.assert_close(out[0].class_maps,
                               chosen[source][0, [1, 3]].clamp(min=0))
    assert out[1].class_maps.shape == (0, 2, 3)
    # without labels: what is predicted
    assert out[2].class_ids.tolist() == [
        c for c in range(5) if score[2, c] >= 0.5
    ]
    assert out[2].class_maps.shape[1:] == (1, 4)


def test_layers():
    plain = GroupCAMHead(4, 5, bias=False)
    assert [n for n, _ in plain.named_parameters()] == ['classifier.weight']
    head = GroupCAMHead(
        4, 5, num_convs=3, conv_channels=6, share_classifier=False)
    head.init_weights()
    assert head.convs[0].weight.shape == (6, 4, 3, 3)
    assert head.classifier.weight.std() < 0.03 < head.convs[2].weight.std()
    x = torch.randn(2, 4, 5, 5)
    read = head.embed(x)
    assert read.shape[1] == head.embed_channels == 6
    want = x
    for conv in head.convs[::2]:
        want = F.conv2d(want, conv.weight, conv.bias, padding=1).relu()
    torch.testing.assert_close(read, want)
    assert not torch.allclose(head.class_maps(read), head.graph_maps(read))
    assert plain.embed(x) is x and plain.embed_channels == 4
    assert torch.equal(plain.class_maps(x), plain.graph_maps(x))


def test_gt_score():
    head = GroupCAMHead(4, 5)
    maps = torch.randn(4, 5, 3, 3)
    soft = torch.rand(4, 5)
    data = [DataSample().set_gt_score(s) for s in soft]
    torch.testing.assert_close(
        head.loss_by_maps(maps, maps, data)['loss_cam'],
        nn.functional.binary_cross_entropy_with_logits(
            maps.mean((2, 3)), soft))


@pytest.mark.parametrize('labels, message', [
    ([[1], [5]], r'im1: class ids \[5\].*num_classes is 5'),
    ([[-1], [2]], r'im0: class ids \[-1\]'),
])
def test_labels_out_of_range(labels, message):
    head = GroupCAMHead(4, 5)
    maps = torch.randn(2, 5, 3, 3)
    with pytest.raises(InputError, match=message):
        head.loss_by_maps(maps, maps, samples(labels))


def test_missing_labels():
    head = GroupCAMHead(4, 5)
    maps = torch.randn(1, 5, 3, 3)
    with pytest.raises(InputError, match='im0: no gt_label'):
        head.loss_by_maps(maps, maps,
                          [DataSample(metainfo=dict(img_id='im0'))])
    with pytest.raises(InputError, match='3 class scores'):
        head.loss_by_maps(maps, maps, [DataSample().set_gt_score([0, 1, 0])])


@pytest.mark.parametrize('how', ['torch', 'mmengine'])
def test_checkpoint_of_other_class_count(how):
    model = nn.ModuleDict(dict(head=GroupCAMHead(4, 5)))
    other = nn.ModuleDict(dict(head=GroupCAMHead(4, 7))).state_dict()
    message = r'head.classifier.weight .*\(7, 4, 1, 1\).*\(5, 4, 1, 1\)'
    with pytest.raises(InputError, match=message) as error:
        if how == 'torch':
            model.load_state_dict(other)
        else:
            load_state_dict(model, other)
    assert '\n' not in str(error.value)


def test_config_errors():
    with pytest.raises(InputError, match=r'in_channels .* 4.*\(2, 3, 5, 5\)'):
        GroupCAMHead(4, 5).embed(torch.rand(2, 3, 5, 5))
    with pytest.raises(InputError, match='pooling'):
        GroupCAMHead(4, 5, pooling='median')
    with pytest.raises(InputError, match='num_classes'):
        GroupCAMHead(4, 0)


def recam_head(source='product', **options):
    torch.manual_seed(0)
    return GroupCAMHead(
        4, 5, recam=dict(loss_weight=0.5, map_source=source), **options)


def test_recam_is_off_by_default():
    torch.manual_seed(0)
    off = GroupCAMHead(4, 5)
    assert set(off.state_dict()) == {'classifier.weight', 'classifier.bias'}
    x = torch.randn(2, 4, 3, 3)
    maps = off.class_maps(x)
    assert torch.equal(maps, off.classifier(x))
    assert all(part is maps for part in off.split_maps(maps))


@pytest.mark.parametrize('source', ['product', 'sum', 'softmax', 'cam'])
@pytest.mark.parametrize('share', [True, False])
def test_recam_maps(source, share):
    head = recam_head(source, share_classifier=share, num_convs=1)
    added = {n for n, _ in head.named_parameters() if 'recam' in n}
    assert added == {'recam_classifier.weight'}
    x = torch.randn(4, 4, 3, 6)
    read = head.convs(x)
    second = head.recam_classifier.weight[:, :, 0, 0]
    after = head.classifier if share else head.graph_classifier
    shown = []
    assert torch.equal(head.embed(x), read)
    for maps, first in ((head.class_maps(read), head.classifier),
                        (head.graph_maps(read), after)):
        logits, softmax, show = head.split_maps(maps)
        torch.testing.assert_close(logits, first(read))
        torch.testing.assert_close(softmax,
                                   torch.einsum('kd,bdhw->bkhw', second, read))
        weight = first.weight[:, :, 0, 0]
        weight = dict(
            product=weight * second, sum=weight + second,
            softmax=second).get(source)
        want = first(read) if weight is None else torch.einsum(
            'kd,bdhw->bkhw', weight, read)
        torch.testing.assert_close(show, want)
        shown.append(want)
    maps, group_maps = head.class_maps(read), head.graph_maps(read)
    for name, want in (('cam', shown[0]), ('graph', shown[1]),
                       ('mean', (shown[0] + shown[1]) / 2)):
        out = head.predict_by_maps(
            maps, group_maps, samples(), map_source=name)
        torch.testing.assert_close(out[0].class_maps,
                                   want[0, [1, 3]].clamp(min=0))
        # scores are those of the first classifier
        torch.testing.assert_close(out[0].pred_score,
                                   after(read)[0].mean((1, 2)).sigmoid())


def test_recam_losses():
    head = recam_head(cam_weight=0.3, graph_weight=0.7)
    x, node = torch.randn(2, 4, 4, 6, 7)
    maps, group_maps = head.class_maps(x), head.graph_maps(node)
    valid = torch.ones(4, 6, 7, dtype=torch.bool)
    valid[:, 4:] = False
    losses = head.loss_by_maps(maps, group_maps, samples(), valid)
    alone = head.loss_by_maps(maps, maps, samples(), valid)
    assert set(alone) == {'loss_cam', 'loss_cam_recam'}
    plain = GroupCAMHead(4, 5, cam_weight=0.3, graph_weight=0.7)
    want = plain.loss_by_maps(maps[:, :5], group_maps[:, :5], samples(), valid)
    for name, feat, first in (('cam', x, maps), ('graph', node, group_maps)):
        weight = dict(cam=0.3, graph=0.7)[name]
        assert torch.equal(losses[f'loss_{name}'], want[f'loss_{name}'])
        recam = weight * head.recam(first[:, :5], head.recam_classifier(feat),
                                    targets(), valid)
        torch.testing.assert_close(losses[f'loss_{name}_recam'], recam)
    torch.testing.assert_close(alone['loss_cam_recam'],
                               losses['loss_cam_recam'] / 0.3)
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_recam_in_a_stock_classifier():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type='mmpretrain.ImageClassifier',
                backbone=nn.Sequential(nn.Conv2d(3, 4, 3), Tuple()),
                head=dict(
                    type='group_wsss.GroupCAMHead',
                    in_channels=4,
                    num_classes=5,
                    recam=dict())))
    x = torch.randn(4, 3, 8, 8)
    losses = model(x, samples(), mode='loss')
    assert set(losses) == {'loss_cam', 'loss_cam_recam'}
    score = model.head.classifier(model.backbone(x)[-1]).mean((2, 3))
    out = model(x, samples(), mode='predict')
    torch.testing.assert_close(out[0].pred_score, score[0].sigmoid())
