# Copyright (c) group_wsss contributors. All rights reserved.
"""A classifier of mmpretrain with one changed line in the inferencer."""
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

from group_wsss.apis import GroupCAMInferencer
from group_wsss.apis.labelling import with_device
from group_wsss.registry import TRANSFORMS

CLASSES = ('a', 'b', 'c')
LOAD = [dict(type='LoadImageFromFile'), dict(type='ResizeEdge', scale=64)]
STOCK = dict(
    default_scope='mmpretrain',
    data_preprocessor=dict(
        num_classes=3, mean=[120.] * 3, std=[60.] * 3, to_rgb=True),
    model=dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet', depth=18, stem_channels=8, base_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=64)),
    test_dataloader=dict(
        dataset=dict(
            type='ImageNet',
            pipeline=[
                *LOAD,
                dict(type='CenterCrop', crop_size=40),
                dict(type='PackInputs')
            ])))


@pytest.fixture
def stock(tmp_path):
    """The classifier and its checkpoint."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        net = MODELS.build(
            dict(STOCK['model'],
                 data_preprocessor=STOCK['data_preprocessor'])).eval()
    torch.nn.init.normal_(net.head.fc.weight)
    path = tmp_path / 'stock.pth'
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=net.state_dict(), meta=meta), path)
    return net, str(path)


def test_one_line(stock, photo_root, tmp_path):
    net, weights = stock
    cfg = Config(STOCK)
    cfg.model.type = 'group_wsss.GroupCAM'
    path = str(photo_root / 'JPEGImages' / 'n1.jpg')
    found, = GroupCAMInferencer(
        cfg, weights, 'cpu', show_progress=False)(
            path, tags=['b'], out_dir=str(tmp_path / 'out'))
    width, height = Image.open(path).size
    assert found['label'].shape == (height, width)
    assert (tmp_path / 'out' / 'n1.png').is_file()
    # the whole image, as the classifier itself reads it
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        steps = [TRANSFORMS.build(s) for s in [*LOAD, dict(type='PackInputs')]]
    batch = pseudo_collate([Compose(steps)(dict(img_path=path))])
    with torch.no_grad():
        logits = net.head(
            net.extract_feat(net.data_preprocessor(batch)['inputs']))[0]
    scores = torch.tensor([found['scores'][name] for name in CLASSES])
    torch.testing.assert_close(scores, logits.sigmoid(), atol=1e-4, rtol=1e-4)
    assert scores.argsort().tolist() == logits.softmax(0).argsort().tolist()


def test_refiners_run_where_the_network_does():
    crf = dict(type='group_wsss.DenseCRF')
    assert with_device(crf, 'cuda:1') == dict(crf, device='cuda:1')
    own = dict(crf, device='cpu')
    assert with_device(own, 'cuda:1') == own and 'device' not in crf
    vote = dict(type='group_wsss.RegionVote', regions='x')
    assert with_device(vote, 'cuda:1') == vote
