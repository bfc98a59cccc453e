# Copyright (c) group_wsss contributors. All rights reserved.
"""Each component in a config that mmseg or mmpretrain ships, by one line.

A cell is a config of the installed package, the line, and the class that
must then be there. What is meaningless is listed in
docs/howto/mix_into_mmseg.md and docs/howto/mix_into_mmpretrain.md.
"""
import importlib
import math
import re
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import (DATASETS, HOOKS, LOOPS, METRICS, MODELS,
                               RUNNERS, TASK_UTILS, TRANSFORMS, DefaultScope)
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from group_wsss import registry as registries
from group_wsss.datasets import TOY_CLASSES, generate_toy
from group_wsss.structures import DumpWriter, ScoreMap, read_index_png
from group_wsss.utils.errors import InputError

SCOPES = ['mmseg', 'mmpretrain', 'mmengine']
SIZE = 64

DEEPLAB = 'deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12aug-512x512.py'
DEEPLAB18 = 'deeplabv3/deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024.py'
PSPNET = 'pspnet/pspnet_r50-d8_4xb4-20k_voc12aug-512x512.py'
FCN = 'fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py'
UPERNET = 'upernet/upernet_r50_4xb4-20k_voc12aug-512x512.py'
SEGFORMER = 'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py'
RESNET = 'resnet/resnet50_8xb32_in1k.py'
RESNET18 = 'resnet/resnet18_8xb32_in1k.py'
EFFNET = 'efficientnet/efficientnet-b0_8xb32_in1k.py'
CSRA = 'csra/resnet101-csra_1xb16_voc07-448px.py'  # multi-label, no neck

GRAPH = """model = dict(neck=dict(type='group_wsss.CoAttentionGNN',
    in_channels=2048, channels=256, group_size=2, self_edge=True))"""
WEAK = """model = dict(type='group_wsss.WeakEncoderDecoder', head_loss={},
    regularizers=[dict(type='group_wsss.{}')])"""
DROPOUT = "model = dict(neck=dict(type='group_wsss.GraphDropout'))"
CACHE = """model = dict(backbone=dict(_delete_=True,
    type='group_wsss.FeatureCache', backbone=_base_.model.backbone))"""

MMSEG = {
    'graph-deeplabv3': (DEEPLAB, GRAPH, 'CoAttentionGNN'),
    'graph-pspnet': (PSPNET, GRAPH, 'CoAttentionGNN'),
    'graph-fcn': (FCN, GRAPH, 'CoAttentionGNN'),
    'graph-upernet': (UPERNET, GRAPH, 'CoAttentionGNN'),
    'graph-segformer': (SEGFORMER, GRAPH.replace('2048', '256').replace(
        'channels=256, g', 'channels=128, g'), 'CoAttentionGNN'),
    'graph-third-map':
    (UPERNET, GRAPH.replace('2048', '1024, in_index=2'), 'CoAttentionGNN'),
    'graph-dropout': (DEEPLAB, DROPOUT, 'GraphDropout'),
    'whitening':
    (DEEPLAB, """model = dict(neck=dict(type='group_wsss.PCAWhitening',
                  in_channels=2048, out_channels=2048))""", 'PCAWhitening'),
    'whitened-keys':
    (DEEPLAB,
     GRAPH.replace('self_edge=True', 'self_edge=True, '
                   "coattention=dict(key='whitened')"), 'PCAWhitening'),
    'feature-cache': (DEEPLAB, CACHE, 'FeatureCache'),
    # another backbone: the weights of the old one go
    'vgg': (DEEPLAB18, """model = dict(pretrained=None, backbone=dict(
        _delete_=True, type='group_wsss.VGGOS8', out_indices=(0, 1, 2, 4)))""",
            'VGGOS8'),
    'effnet': (FCN, """model = dict(pretrained=None, auxiliary_head=None,
        backbone=dict(_delete_=True, type='group_wsss.EffNetLite0',
                      output_stride=8),
        decode_head=dict(in_channels=1280, in_index=0))""", 'EffNetLite0'),
    'bootstrapped': (PSPNET, """model = dict(decode_head=dict(loss_decode=dict(
        _delete_=True, type='group_wsss.BootstrappedCrossEntropy')))""",
                     'BootstrappedCrossEntropy'),
    'gated-crf': (PSPNET, WEAK.format(True, 'GatedCRFLoss'), 'GatedCRFLoss'),
    'soft-ce': (PSPNET, WEAK.format(False,
                                    'SoftCrossEntropy'), 'SoftCrossEntropy'),
    'collision-ce': (UPERNET, WEAK.format(False, 'CollisionCrossEntropy'),
                     'CollisionCrossEntropy'),
    'score-weighted': (SEGFORMER,
                       WEAK.format(False, 'ScoreWeightedCrossEntropy'),
                       'ScoreWeightedCrossEntropy'),
}
MMPRETRAIN = {
    'group-cam':
    (RESNET, "model = dict(type='group_wsss.GroupCAM')", 'GroupCAM'),
    'group-cam-graph': (RESNET, """model = dict(type='group_wsss.GroupCAM',
        neck=dict(_delete_=True, type='group_wsss.CoAttentionGNN',
        in_channels=2048, group_size=2))""", 'CoAttentionGNN'),
    'recam': (RESNET, """model = dict(type='group_wsss.GroupCAM', neck=None,
        head=dict(_delete_=True, type='group_wsss.ReCAMHead',
        in_channels=2048, num_classes=1000))""", 'ReCAMLoss'),
    'equivariance': (RESNET, """model = dict(type='group_wsss.SEAMGroupCAM',
        equivariance=dict(scale=0.5))""", 'EquivarianceLoss'),
    'cam-head': (CSRA, """model = dict(head=dict(_delete_=True,
        type='group_wsss.GroupCAMHead', in_channels=2048, num_classes=20))""",
                 'GroupCAMHead'),
    'graph': (CSRA, GRAPH.replace("type='g",
                                  "_delete_=True, type='g"), 'CoAttentionGNN'),
    'graph-dropout': (CSRA, """model = dict(neck=dict(_delete_=True,
        type='group_wsss.GraphDropout'))""", 'GraphDropout'),
    'whitening': (CSRA, """model = dict(neck=dict(_delete_=True,
        type='group_wsss.PCAWhitening', in_channels=2048,
        out_channels=2048))""", 'PCAWhitening'),
    'feature-cache': (RESNET, CACHE, 'FeatureCache'),
    'vgg': (RESNET18, """model = dict(backbone=dict(_delete_=True,
        type='group_wsss.VGGOS8', out_indices=(4, )))""", 'VGGOS8'),
    'effnet': (EFFNET, """model = dict(backbone=dict(_delete_=True,
        type='group_wsss.EffNetLite0'))""", 'EffNetLite0'),
    'preprocessor': (CSRA, """data_preprocessor = dict(
        type='group_wsss.GroupDataPreprocessor')""", 'GroupDataPreprocessor'),
}


def shipped(package, name):
    """A config file of the installed package."""
    root = Path(importlib.import_module(package).__path__[0])
    path = root / '.mim' / 'configs' / name
    if not path.is_file():
        pytest.skip(f'this {package} was installed without {name}')
    return path


@pytest.fixture(scope='module')
def load(tmp_path_factory):
    """Load a shipped config with lines added to it."""
    folder = tmp_path_factory.mktemp('configs')

    def do(package, name, line=''):
        path = folder / 'mixed.py'
        path.write_text(f'_base_ = {str(shipped(package, name))!r}\n{line}\n')
        return Config.fromfile(path)

    return do


def walk(node):
    """All dicts of a config."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from walk(item)


def shrink(model):
    """A network that a test can run; ours are as in the line but narrow."""
    model = deepcopy(model)
    nodes = list(walk(model))
    narrow = False
    for node in nodes:
        if str(node.get('type', '')).startswith('ResNet'):
            node.update(base_channels=8, stem_channels=8)
            narrow = True
    for node in nodes:
        kind = node.get('type')
        if kind == 'SyncBN':
            node['type'] = 'BN'
        for key in ('pretrained', 'init_cfg'):
            if node.get(key) is not None:
                node[key] = None
        if kind == 'group_wsss.EffNetLite0':
            pytest.importorskip('timm')
            node['weights'] = None
        if kind == 'group_wsss.VGGOS8':
            node['depth'] = 11
        if 'size' in node and 'seg_pad_val' in node:
            node['size'] = (SIZE, SIZE)
        if isinstance(node.get('channels'), int):
            node['channels'] = 16
        for key in ('in_channels', 'out_channels'):
            if narrow and key in node:
                wide = node[key]
                node[key] = ([n // 8 for n in wide]
                             if isinstance(wide, list) else wide // 8)
    return model


def build(cfg, package, scope):
    """The model of a config, whatever the default scope is."""
    model = shrink(cfg.model)
    if model.get('data_preprocessor') is None:
        # as the runner does
        model['data_preprocessor'] = cfg.get('data_preprocessor')
    if scope != package:
        model['_scope_'] = package
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(model)


def backward(model, batch):
    """Losses of a batch of uint8 pictures, and gradients."""
    model.train()
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    total, log = model.parse_losses(losses)
    assert torch.isfinite(total) and total > 0
    total.backward()
    return log


def find(model, name):
    """The only modules of a class, by its name."""
    found = [m for m in model.modules() if type(m).__name__ == name]
    assert found, f'no {name} was built'
    return found[0]


def check_gradient(part):
    own = [p for p in part.parameters() if p.requires_grad]
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in own)
    assert not own or any(p.grad is not None and p.grad.abs().sum() > 0
                          for p in own)


def pictures(number=4):
    generator = torch.Generator().manual_seed(0)
    return list(
        torch.randint(
            256, (number, 3, SIZE, SIZE),
            generator=generator,
            dtype=torch.uint8))


def seg_batch(number=4, num_classes=19, scores=False):
    inputs, samples = pictures(number), []
    for image in inputs:
        label = (image[:1].long() // 4) % num_classes
        label[:, :8] = 255
        sample = SegDataSample(gt_sem_seg=PixelData(data=label))
        sample.set_metainfo(
            dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE)))
        if scores:  # as PackScores leaves it
            sample.gt_scores = PixelData(data=image[:2].float() / 255)
            sample.set_metainfo(dict(score_labels=[1, 3], score_threshold=0.4))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


# ---- models ----------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize('scope', SCOPES)
@pytest.mark.parametrize('cell', MMSEG)
def test_in_mmseg(cell, scope, load):
    name, line, kind = MMSEG[cell]
    model = build(load('mmseg', name, line), 'mmseg', scope)
    part = find(model, kind)
    scores = cell in ('soft-ce', 'collision-ce', 'score-weighted')
    backward(model, seg_batch(scores=scores))
    check_gradient(part)
    model.eval()
    batch = seg_batch(number=1)
    with torch.no_grad():  # mmseg tests one image at a time
        sample, = model.test_step(batch)
    assert sample.pred_sem_seg.shape == (SIZE, SIZE)


@pytest.mark.slow
@pytest.mark.parametrize('scope', SCOPES)
@pytest.mark.parametrize('cell', MMPRETRAIN)
def test_in_mmpretrain(cell, scope, load):
    name, line, kind = MMPRETRAIN[cell]
    cfg = load('mmpretrain', name, line)
    model = build(cfg, 'mmpretrain', scope)
    part = find(model, kind)
    many = name == CSRA
    samples = [
        DataSample().set_gt_label([i, i + 2] if many else i) for i in range(4)
    ]
    log = backward(model, dict(inputs=pictures(), data_samples=samples))
    check_gradient(part)
    if cell == 'group-cam-graph':
        assert {'loss_cam', 'loss_graph'} <= set(log)
    model.eval()
    batch = dict(inputs=pictures(1), data_samples=[DataSample()])
    with torch.no_grad():
        sample, = model.test_step(batch)
    assert sample.pred_score.shape == ((20 if many else 1000), )
    # our head shows them in a stock classifier as well
    assert ('class_maps' in sample) == hasattr(model.head, 'branches')


def test_line_replaces_nothing_else(load):
    for package, cells in (('mmseg', MMSEG), ('mmpretrain', MMPRETRAIN)):
        for cell in ('graph-deeplabv3', 'graph-dropout', 'graph'):
            if cell not in cells:
                continue
            name, line, _ = cells[cell]
            model = load(package, name, line).model
            neck = model.pop('neck')
            assert neck.type.startswith('group_wsss.')
            plain = load(package, name).model
            plain.pop('neck', None)
            assert model == plain


# ---- what the graph does in a segmentor ------------------------------------
class Levels(torch.nn.Module):
    """Four maps that differ from image to image, unlike random ResNets'."""

    def __init__(self):
        super().__init__()
        self.levels = torch.nn.ModuleList(
            torch.nn.Conv2d(3, width, 1) for width in (32, 64, 128, 256))

    def forward(self, x):
        x = 8 * torch.nn.functional.avg_pool2d(x, 8)
        return tuple(level(x) for level in self.levels)


@pytest.fixture(scope='module')
def trained(load):
    """A PSPNet with a graph whose way back is not zero any more."""
    model = build(load('mmseg', PSPNET, GRAPH), 'mmseg', 'mmseg')
    torch.nn.init.normal_(model.neck.expand.weight)
    model.backbone = Levels()
    model.neck.dropout = None
    return model


def test_training_mixes_neighbours_and_nothing_else(trained):
    torch.manual_seed(0)
    x = torch.randn(4, 3, SIZE, SIZE)
    # one image changes: so do the maps of its neighbour, by the graph alone
    trained.train()
    feats = [torch.randn(4, c, 8, 8) for c in (32, 64, 128, 256)]
    out = trained.neck(feats)
    other = [f.clone() for f in feats]
    other[-1][1] += 1
    changed = trained.neck(other)[-1]
    assert not torch.allclose(changed[0], out[-1][0])
    assert torch.equal(changed[2:], out[-1][2:])
    assert all(a is b for a, b in zip(out[:-1], feats[:-1]))
    # in eval mode no image sees another
    trained.eval()
    with torch.no_grad():
        together = trained.extract_feat(x)[-1]
        alone = torch.cat(
            [trained.extract_feat(image[None])[-1] for image in x])
        plain = trained.backbone(x)[-1]
        pairs = trained.neck(trained.backbone(x), group_size=2)[-1]
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    assert (together - plain).abs().max() > 5e-3  # the edge to itself
    assert (together - pairs).abs().max() > 5e-3  # what would be seen


def test_crops_of_slide_inference_are_no_group(trained):
    trained.eval()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 3, SIZE, 2 * SIZE, generator=generator)
    metas = [dict(ori_shape=x.shape[2:], img_shape=x.shape[2:])] * 2
    kept = trained.test_cfg
    sizes = []
    hook = trained.neck.register_forward_pre_hook(
        lambda module, args: sizes.append(len(args[0][-1])))
    trained.test_cfg = Config(
        dict(mode='slide', crop_size=(SIZE, SIZE), stride=(SIZE, SIZE)))
    try:
        with torch.no_grad():
            slid = trained.inference(x, deepcopy(metas))
            for i in range(2):
                for left in (0, SIZE):
                    crop = x[i:i + 1, :, :, left:left + SIZE]
                    alone = trained.encode_decode(
                        crop, [dict(img_shape=crop.shape[2:])])
                    torch.testing.assert_close(
                        slid[i:i + 1, :, :, left:left + SIZE],
                        alone,
                        atol=1e-4,
                        rtol=1e-4)
    finally:
        trained.test_cfg = kept
        hook.remove()
    # the crops at one place of both images came together, and did not mix
    assert sizes[:2] == [2, 2]


def test_without_self_edges_one_image_is_left_alone(load):
    line = GRAPH.replace(', self_edge=True', '')
    model = build(load('mmseg', PSPNET, line), 'mmseg', 'mmseg').eval()
    torch.nn.init.normal_(model.neck.expand.weight)
    x = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(model.extract_feat(x)[-1], model.backbone(x)[-1])


def test_weights_of_a_config_reach_the_cached_backbone(load):
    """mmseg puts ``pretrained`` into whatever it calls the backbone."""
    cfg = load('mmseg', DEEPLAB, CACHE)
    address = cfg.model.pretrained
    assert address.startswith('open-mmlab://')
    cfg.model = Config(dict(model=shrink(cfg.model))).model
    cfg.model.pretrained = address
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)
    assert model.backbone.backbone.init_cfg['checkpoint'] == address


def test_batch_of_a_segmentor_that_does_not_divide(trained):
    trained.train()
    with pytest.raises(InputError, match='batch of 3.*drop_last=True'):
        trained.loss(**trained.data_preprocessor(seg_batch(3), True))


def test_no_map_at_in_index(load):
    line = GRAPH.replace('self_edge', 'in_index=4, self_edge')
    model = build(load('mmseg', PSPNET, line), 'mmseg', 'mmseg')
    with pytest.raises(InputError, match='in_index .* is 4, .* 4 map'):
        model.extract_feat(torch.randn(2, 3, SIZE, SIZE))


# ---- a classifier that was trained by mmpretrain ---------------------------
@pytest.mark.parametrize('kind', ['LinearClsHead', 'MultiLabelLinearClsHead'])
def test_group_cam_is_the_classifier_it_takes_over(kind, load):
    line = "model = dict(head=dict(_delete_=True, type='%s', " % kind
    line += 'num_classes=7, in_channels=2048))\n'
    stock = build(load('mmpretrain', RESNET, line), 'mmpretrain', 'mmpretrain')
    line += "model.update(type='group_wsss.GroupCAM')"
    ours = build(load('mmpretrain', RESNET, line), 'mmpretrain', 'mmpretrain')
    missing, unexpected = ours.load_state_dict(
        stock.state_dict(), strict=False)
    assert not missing and not unexpected
    assert ours.neck is None
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        want = stock.eval()(x)
        maps, _ = ours.eval()(x)
        want = stock.head((stock.neck(stock.backbone(x))[-1], ))
    assert maps.shape == (2, 7, 2, 2)
    torch.testing.assert_close(maps.mean((2, 3)), want, atol=1e-5, rtol=1e-4)


def test_options_of_a_multi_label_head_are_kept(load):
    line = """model = dict(type='group_wsss.GroupCAM', head=dict(
        _delete_=True, type='MultiLabelLinearClsHead', num_classes=7,
        in_channels=2048, thr=0.3,
        loss=dict(type='AsymmetricLoss', gamma_neg=2.0)))"""
    model = build(load('mmpretrain', RESNET, line), 'mmpretrain', 'mmpretrain')
    assert model.head.thr == 0.3
    assert type(model.head.loss_module).__name__ == 'AsymmetricLoss'


def test_pooling_before_a_head_of_maps(load):
    line = """model = dict(type='group_wsss.GroupCAM', head=dict(
        _delete_=True, type='group_wsss.GroupCAMHead', num_classes=7,
        in_channels=2048))"""
    with pytest.raises(InputError, match='neck=None'):
        build(load('mmpretrain', RESNET, line), 'mmpretrain', 'mmpretrain')


# ---- data, samplers, metrics, hooks ----------------------------------------
@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """A toy set, and its masks as a finished dump of stage 1."""
    root = tmp_path_factory.mktemp('mix') / 'toy'
    generate_toy(root, num_train=16, num_val=2, size=SIZE)
    writer = DumpWriter(str(root / 'labels'), TOY_CLASSES)
    writer.begin()
    ids = (root / 'ImageSets/train.txt').read_text().split()
    for name in ids:
        mask = read_index_png(str(root / f'SegmentationClass/{name}.png'))
        writer.write(name, mask)
    writer.finish(writer.counts)
    return root


LISTED = """train_dataloader = dict(dataset=dict(_delete_=True,
    type='group_wsss.{}', data_root='{}', ann_file='ImageSets/{}',
    {}pipeline=_base_.train_pipeline))"""


def image_level(root, kind='ToyImageLevel'):
    return LISTED.format(kind, root, 'train_cls.txt', '')


def pseudo_labels(root):
    return LISTED.format(
        'PseudoLabelDataset', root, 'train.txt',
        "data_prefix=dict(img_path='JPEGImages', seg_map_path='labels'), ")


def scoped(cfg, package):
    """The config of an object, to be built in any default scope."""
    return dict(deepcopy(cfg), _scope_=package)


@pytest.mark.parametrize('scope', SCOPES)
def test_datasets(scope, load, toy):
    cfg = load('mmpretrain', CSRA, image_level(toy))
    cfg.train_dataloader.dataset.pipeline[1].scale = SIZE
    with DefaultScope.overwrite_default_scope(scope):
        data = DATASETS.build(
            scoped(cfg.train_dataloader.dataset, 'mmpretrain'))
    assert type(data).__name__ == 'ToyImageLevel' and len(data) == 16
    assert tuple(data[0]['inputs'].shape) == (3, SIZE, SIZE)
    assert data[0]['data_samples'].gt_label.tolist() == data.get_cat_ids(0)

    cfg = load('mmseg', PSPNET, pseudo_labels(toy))
    narrow(cfg.train_dataloader.dataset.pipeline)
    with DefaultScope.overwrite_default_scope(scope):
        data = DATASETS.build(scoped(cfg.train_dataloader.dataset, 'mmseg'))
    assert data.metainfo['classes'] == ('background', *TOY_CLASSES)
    values = np.unique(data[0]['data_samples'].gt_sem_seg.data)
    assert set(values) <= {*range(7), 255}


@pytest.mark.slow
@pytest.mark.parametrize('scope', SCOPES)
@pytest.mark.parametrize('package', ['mmseg', 'mmpretrain'])
def test_sampler(package, scope, load, toy):
    line = pseudo_labels(toy) if package == 'mmseg' else image_level(toy)
    own = f"'{toy}/ImageSets/train_cls.txt'" if package == 'mmseg' else None
    line += f"""
train_dataloader.update(batch_sampler=dict(group_size=2, match='any',
    type='group_wsss.GroupBatchSampler', ann_file={own}))"""
    cfg = load(package, PSPNET if package == 'mmseg' else CSRA, line)
    loader = cfg.train_dataloader
    loader.update(num_workers=0, persistent_workers=False)
    loader.dataset._scope_ = package
    loader.dataset.pipeline = []
    with DefaultScope.overwrite_default_scope(scope):
        loader = Runner.build_dataloader(loader, seed=0)
    sampler = loader.batch_sampler
    batch = next(iter(sampler))
    assert len(batch) == cfg.train_dataloader.batch_size
    for first, second in zip(batch[::2], batch[1::2]):
        assert first != second
        assert set(sampler.index.labels_of(first)) & set(
            sampler.index.labels_of(second))


@pytest.mark.parametrize('scope', SCOPES)
def test_small_parts(scope, toy):
    """What a config names by its type is found from every scope."""
    with DefaultScope.overwrite_default_scope(scope):
        for name in ('PseudoLabelHook', 'AttentionAccumulationHook',
                     'GroupResumeHook', 'WeakSupervisionHook'):
            hook = HOOKS.build(dict(type=f'group_wsss.{name}'))
            assert type(hook).__name__ == name
        METRICS.build(dict(type='group_wsss.CAMIoU', ann_dir=str(toy)))
        assert LOOPS.get('group_wsss.TTATestLoop').__name__ == 'TTATestLoop'
        path = next((toy / 'JPEGImages').iterdir())
        load = TRANSFORMS.build(dict(type='group_wsss.LoadImage'))
        assert load(dict(img_path=str(path)))['img'].shape == (SIZE, SIZE, 3)
        for name in ('LoadScores', 'PackScores'):
            TRANSFORMS.build(dict(type=f'group_wsss.{name}'))


@pytest.mark.parametrize('scope', SCOPES)
def test_refiners_stand_alone(scope):
    maps = np.zeros((2, 8, 8), np.float32)
    maps[0, :4], maps[1, 5:] = 0.9, 0.6
    image = np.full((16, 16, 3), 60, np.uint8)
    image[:8] = 200
    score_map = ScoreMap('a', (16, 16), [0, 2], maps)
    for cfg in (dict(type='group_wsss.DenseCRF'),
                dict(type='group_wsss.PixelAdaptive')):
        with DefaultScope.overwrite_default_scope(scope):
            refiner = TASK_UTILS.build(cfg)
            labeler = TASK_UTILS.build(
                dict(type='group_wsss.ThresholdLabeler'))
        refined = refiner(score_map, image)
        assert refined.class_ids.tolist() == [0, 2]
        assert labeler(refined).shape == (16, 16)


def test_a_pixel_loss_in_a_head_says_where_it_belongs(load):
    line = """model = dict(decode_head=dict(loss_decode=dict(
        _delete_=True, type='group_wsss.GatedCRFLoss')))"""
    model = build(load('mmseg', PSPNET, line), 'mmseg', 'mmseg')
    with pytest.raises(InputError, match='regularizers of .*WeakEncoder'):
        backward(model, seg_batch())


# ---- whole runs ------------------------------------------------------------
def narrow(pipeline):
    """Pictures of 64 pixels in mmseg's pipeline."""
    for step in pipeline:
        if step.type in ('RandomResize', 'Resize'):
            step.scale = (2 * SIZE, SIZE)
        elif step.type == 'RandomCrop':
            step.crop_size = (SIZE, SIZE)
        elif step.type == 'Pad':
            step.size = (SIZE, SIZE)


def short(cfg, folder):
    """The same run, small: two iterations, no workers."""
    cfg.model = shrink(cfg.model)
    for name in ('train', 'val', 'test'):
        loader = cfg.get(f'{name}_dataloader')
        if loader is not None:
            loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size = 4
    cfg.default_hooks.logger.interval = 1
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    cfg.work_dir = str(folder / 'work')
    cfg.experiment_name = f'mixing_{folder.name}'
    return cfg


@pytest.mark.slow
def test_mmseg_runs(load, toy, tmp_path):
    """Neck, loss, pseudo labels and sampler in mmseg's own PSPNet."""
    line = pseudo_labels(toy) + f"""
model = dict(
    neck=dict(type='group_wsss.CoAttentionGNN', in_channels=2048,
              channels=256, group_size=2, self_edge=True),
    decode_head=dict(num_classes=7, loss_decode=dict(
        _delete_=True, type='group_wsss.BootstrappedCrossEntropy')),
    auxiliary_head=dict(num_classes=7))
train_dataloader.update(batch_sampler=dict(
    type='group_wsss.GroupBatchSampler', group_size=2, match='any',
    ann_file='{toy}/ImageSets/train_cls.txt'))
val_dataloader = dict(dataset=dict(_delete_=True,
    type='group_wsss.PseudoLabelDataset', data_root='{toy}',
    ann_file='ImageSets/val.txt', manifest='{toy}/labels/manifest.json',
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
    pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader"""
    cfg = short(load('mmseg', PSPNET, line), tmp_path)
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=2, val_interval=2)
    narrow(cfg.train_dataloader.dataset.pipeline)
    narrow(cfg.val_dataloader.dataset.pipeline)
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert runner.train_loop.dataloader.batch_sampler.group_size == 2
    assert runner.model.neck.expand.weight.abs().sum() > 0
    miou = runner.message_hub.get_scalar('val/mIoU').current()
    assert 0 <= miou <= 100


@pytest.mark.slow
def test_mmpretrain_runs(load, toy, tmp_path):
    """GroupCAM, groups, hook, metric and TTA in mmpretrain's ResNet-50."""
    line = image_level(toy) + f"""
model = dict(type='group_wsss.GroupCAM', head=dict(num_classes=6),
    neck=dict(_delete_=True, type='group_wsss.CoAttentionGNN',
              in_channels=2048))
train_dataloader.update(batch_sampler=dict(
    type='group_wsss.GroupBatchSampler', group_size=2, match='any'),
    collate_fn=dict(type='group_wsss.group_collate', group_size=2))
val_dataloader = val_cfg = val_evaluator = None
meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip',
             'flip_direction')
test_pipeline = [
    dict(type='group_wsss.LoadImage'),
    dict(type='PackInputs', meta_keys=meta_keys)]
tta_model = dict(type='group_wsss.GroupCAMTTA')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=p, direction='horizontal')
         for p in (0., 1.)],
        [dict(type='PackInputs', meta_keys=meta_keys)]])]
test_dataloader = dict(batch_size=1, dataset=dict(_delete_=True,
    type='group_wsss.ToyImageLevel', data_root='{toy}',
    ann_file='ImageSets/train_cls.txt', test_mode=True,
    pipeline=test_pipeline))
test_cfg = dict(type='group_wsss.TTATestLoop')
test_evaluator = dict(_delete_=True, type='group_wsss.CAMIoU',
                      ann_dir='{toy}/SegmentationClass')
custom_hooks = [dict(type='group_wsss.PseudoLabelHook'),
                dict(type='group_wsss.WeakSupervisionHook')]"""
    cfg = short(load('mmpretrain', RESNET, line), tmp_path)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    cfg.train_dataloader.dataset.pipeline[1].scale = SIZE
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == math.ceil(16 * 2 / 4)
    labels = sorted((tmp_path / 'work/pseudo_labels').glob('*.png'))
    ids = (toy / 'ImageSets/train.txt').read_text().split()
    assert [path.stem for path in labels] == sorted(ids)
    for path in labels:
        label = read_index_png(str(path))
        assert label.shape == (SIZE, SIZE)
        assert set(np.unique(label)) <= {*range(7), 255}


def test_hook_names_what_a_stock_pipeline_leaves_out():
    sample = DataSample()
    sample.set_metainfo(dict(img_path='a.jpg', ori_shape=(4, 4)))
    with pytest.raises(InputError, match="'img_id'.*meta_keys of PackInputs"):
        ScoreMap.from_sample(sample)


# parts of others, or of a page of their own (docs/words.md)
ELSEWHERE = {
    'AffinityHead', 'PixelCorrelation', 'DenseCLIP', 'TextCAM', 'TextCAMHead',
    'PositionalDebias', 'TIMMTransformer', 'OnlineWeakEncoderDecoder',
    'OnlineLabeler', 'EffNetLite0Levels', 'TaggedImages', 'PackTags'
}

# ---- the pages -------------------------------------------------------------
DOCS = Path(__file__).resolve().parents[1] / 'docs' / 'howto'


@pytest.fixture
def page(tmp_path, monkeypatch, toy):
    """The named configs of a page as files, by their names."""
    monkeypatch.setenv('DATA_ROOT', str(toy))
    monkeypatch.setenv('TAGS', str(toy / 'ImageSets/train_cls.txt'))
    monkeypatch.setenv('PSEUDO_DIR', str(toy / 'labels'))

    def write(name):
        text = (DOCS / name).read_text('utf-8')
        bodies = re.findall(r'^```python\n(.*?)^```$', text, re.M | re.S)
        files = {}
        for body in bodies:
            first, _, rest = body.partition('\n')
            assert re.fullmatch(r'# \w+\.py', first), body
            assert len(rest.splitlines()) <= 30
            files[first[2:-3]] = tmp_path / first[2:]
            files[first[2:-3]].write_text(rest)
        return files

    return write


@pytest.mark.slow
def test_page_of_mmseg(page, tmp_path):
    files = page('mix_into_mmseg.md')
    kinds = dict(
        pspnet_graph='CoAttentionGNN',
        pspnet_groups='CoAttentionGNN',
        pspnet_bootstrapped='BootstrappedCrossEntropy',
        pspnet_gated_crf='GatedCRFLoss',
        fcn_effnet='EffNetLite0',
        deeplabv3_cached='FeatureCache')
    assert set(files) == {*kinds, 'pspnet_pseudo'}
    for name, kind in kinds.items():
        cfg = Config.fromfile(files[name])
        model = build(cfg, 'mmseg', 'mmseg')
        find(model, kind)
        backward(model, seg_batch())
        if name == 'deeplabv3_cached':
            cache = model.backbone
            model.train()
            x = torch.rand(2, 3, SIZE, SIZE)
            assert all(torch.equal(*ab) for ab in zip(cache(x), cache(x)))
            assert cache.hits == 2
    # groups of the data of the page's own last config
    cfg = Config.fromfile(files['pspnet_pseudo'])
    sampler = Config.fromfile(files['pspnet_groups']).train_dataloader
    cfg.train_dataloader.batch_sampler = sampler.batch_sampler
    cfg = short(cfg, tmp_path)
    narrow(cfg.train_dataloader.dataset.pipeline)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
    runner = RUNNERS.build(cfg)
    runner.train()
    assert runner.iter == 1
    assert runner.model.decode_head.num_classes == 7
    assert runner.train_loop.dataloader.batch_sampler.group_size == 2


@pytest.mark.slow
def test_page_of_mmpretrain(page, toy, tmp_path):
    files = page('mix_into_mmpretrain.md')
    kinds = dict(
        resnet50_cam='GroupCAM',
        resnet50_groups='CoAttentionGNN',
        resnet101_cam_head='GroupCAMHead')
    assert set(files) == {*kinds, 'resnet50_labels'}
    for name, kind in kinds.items():
        model = build(Config.fromfile(files[name]), 'mmpretrain', 'mmpretrain')
        find(model, kind)
        samples = [
            DataSample(metainfo=dict(group_slot=i % 2)).set_gt_label(i)
            for i in range(4)
        ]
        backward(model, dict(inputs=pictures(), data_samples=samples))
    cfg = short(Config.fromfile(files['resnet50_labels']), tmp_path)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    cfg.train_dataloader.dataset.pipeline[1].scale = SIZE
    runner = RUNNERS.build(cfg)
    runner.train()
    assert runner.train_loop.dataloader.batch_sampler.group_size == 2
    labels = list((tmp_path / 'work/pseudo_labels').glob('*.png'))
    assert len(labels) == 16


def test_tables_name_every_component():
    """Every component of a config is in both tables; hooks all go alike."""
    known = set()
    for registry in (registries.MODELS, registries.DATASETS,
                     registries.DATA_SAMPLERS, registries.METRICS,
                     registries.LOOPS, registries.TRANSFORMS,
                     registries.RUNNERS):
        registry.import_from_location()
        known |= {
            name
            for name, kind in registry.module_dict.items()
            if kind.__module__.startswith('group_wsss.')
        }
    for name in ('mix_into_mmseg.md', 'mix_into_mmpretrain.md'):
        table = (DOCS / name).read_text('utf-8').split('What goes where')[1]
        missing = {n for n in known if f'`{n}`' not in table}
        assert not missing - ELSEWHERE, (name, missing - ELSEWHERE)
