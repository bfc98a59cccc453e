# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn as nn
from mmengine.runner.checkpoint import load_state_dict
from mmpretrain.structures import DataSample

from group_wsss.models import GroupCAMHead
from group_wsss.models.utils import GroupMaps
from group_wsss.utils.errors import InputError

LABELS = [[1, 3], [], [0], [4, 4]]


def samples(labels=LABELS):
    return [
        DataSample(metainfo=dict(img_id=f'im{i}')).set_gt_label(x)
        for i, x in enumerate(labels)
    ]


def test_equals_soft_margin_loss(make):
    head = GroupCAMHead(None, 5)
    maps, group_maps = torch.randn(2, 4, 5, 6, 7)
    margin, target = nn.MultiLabelSoftMarginLoss(), make.targets(LABELS)
    losses = head.loss(GroupMaps(maps, group_maps), samples())
    torch.testing.assert_close(
        losses,
        dict(
            loss_cam=0.4 * margin(maps.mean((2, 3)), target),
            loss_graph=margin(group_maps.mean((2, 3)), target)))
    # no graph: one term, of weight 1; of soft labels
    soft = torch.rand(4, 5)
    data = [DataSample().set_gt_score(s) for s in soft]
    alone = head.loss(GroupMaps(maps, maps), data)
    torch.testing.assert_close(alone,
                               dict(loss_cam=margin(maps.mean((2, 3)), soft)))
    # in a stock classifier the last of the stage maps is read
    torch.testing.assert_close(head.loss((group_maps, maps), data), alone)
    torch.testing.assert_close(head((group_maps, maps)), maps.mean((2, 3)))


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
    head = GroupCAMHead(None, 5, map_source=source)
    maps, group_maps = torch.randn(2, 3, 5, 4, 4)
    sizes = [(4, 4), (2, 3), (1, 4)]
    data = samples([[3, 1], [], [2]])
    del data[2].gt_label
    for sample, size in zip(data, sizes):
        sample.set_metainfo(dict(map_shape=size))
    out = head.predict(GroupMaps(maps, group_maps), data)
    chosen = dict(graph=group_maps, cam=maps, mean=(maps + group_maps) / 2)
    for i, (h, w) in enumerate(sizes):
        score = group_maps[i, :, :h, :w].mean((1, 2)).sigmoid()
        torch.testing.assert_close(out[i].pred_score, score)
        # sorted; without labels what is predicted
        ids = [[1, 3], [], [c for c in range(5) if score[c] >= 0.5]][i]
        assert out[i].class_ids.tolist() == ids
        torch.testing.assert_close(out[i].class_maps,
                                   chosen[source][i, ids, :h, :w].relu())
    # the argument wins
    again = head.predict(
        GroupMaps(maps, group_maps), samples([[4]] * 3), map_source='cam')
    torch.testing.assert_close(again[1].class_maps, maps[1, [4]].relu())


def test_layers():
    plain = GroupCAMHead(4, 5, bias=False)
    assert [n for n, _ in plain.named_parameters()] == ['classifier.weight']
    assert not list(GroupCAMHead(None, 5).parameters())
    head = GroupCAMHead(4, 5, share_classifier=False)
    head.init_weights()
    for part in (head.classifier, head.graph_classifier):
        assert part.weight.shape == (5, 4, 1, 1)
        assert 0 < part.weight.std() < 0.03
    x = torch.randn(2, 4, 5, 5)
    for one, same in ((plain, True), (head, False)):
        first, second = one.branches(GroupMaps(x, x.clone()))
        torch.testing.assert_close(first.logits, one.classifier(x))
        assert torch.allclose(first.logits, second.logits) == same
    one, = plain.branches(GroupMaps(x, x))
    assert one.name == 'loss_cam' and one.weight == 1


@pytest.mark.parametrize('data, message', [
    (samples([[1], [5]]), r'im1: class ids \[5\].*num_classes is 5'),
    (samples([[-1], [2]]), r'im0: class ids \[-1\]'),
    ([DataSample(metainfo=dict(img_id='im0'))] * 2, 'im0: no gt_label'),
    ([DataSample().set_gt_score([0, 1, 0])] * 2, '3 class scores'),
])
def test_bad_labels(data, message):
    maps = torch.randn(2, 5, 3, 3)
    with pytest.raises(InputError, match=message):
        GroupCAMHead(None, 5).loss(GroupMaps(maps, maps), data)


def test_bad_options_and_weights():
    with pytest.raises(InputError, match=r'in_channels .* 4.*\(2, 3, 5, 5\)'):
        GroupCAMHead(4, 5)((torch.rand(2, 3, 5, 5), ))
    for options in (dict(pooling='median'), dict(num_classes=0),
                    dict(num_classes='from_data'), dict(map_source='best')):
        with pytest.raises(InputError, match=next(iter(options))):
            GroupCAMHead(4, **{'num_classes': 5, **options})
    model = nn.ModuleDict(dict(head=GroupCAMHead(4, 5)))
    other = nn.ModuleDict(dict(head=GroupCAMHead(4, 7))).state_dict()
    message = r'head.classifier.weight .*\(7, 4, 1, 1\).*\(5, 4, 1, 1\)'
    for load in (nn.Module.load_state_dict, load_state_dict):
        with pytest.raises(InputError, match=message) as error:
            load(model, dict(other))
        assert '\n' not in str(error.value)


def test_tag_maps():
    maps, sizes = torch.randn(2, 5, 3, 4), [(3, 4), (2, 3)]
    data = samples([[1], [0, 3]])
    for sample, size in zip(data, sizes):
        sample.set_metainfo(dict(map_shape=size))
    got = GroupCAMHead(None, 5).tag_maps(GroupMaps(maps, maps), data)
    want = torch.zeros_like(maps)
    for i, (h, w) in enumerate(sizes):
        for c in ([1], [0, 3])[i]:
            own = maps[i, c, :h, :w].clamp(min=0)
            want[i, c, :h, :w] = own / own.max()
    torch.testing.assert_close(got, want)
