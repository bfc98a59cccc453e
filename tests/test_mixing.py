# Copyright (c) group_wsss contributors. All rights reserved.
"""Each component in a config that mmseg or mmpretrain ships, by one line.

A cell is a config of the installed package, the line, and the class that
must then be there (by default the last one that the line names). What is
meaningless is listed in docs/howto/mix_into_mmseg.md and
docs/howto/mix_into_mmpretrain.md.
"""
import importlib
import re
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import (HOOKS, LOOPS, METRICS, MODELS, RUNNERS,
                               TASK_UTILS, TRANSFORMS, DefaultScope)
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from group_wsss import registry as registries
from group_wsss.datasets import TOY_CLASSES, generate_toy
from group_wsss.structures import DumpWriter, ScoreMap, read_index_png
from group_wsss.utils.config import walk
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

CACHE = """model = dict(backbone=dict(_delete_=True,
    type='group_wsss.FeatureCache', backbone=_base_.model.backbone))"""


def neck(kind, **options):
    """A line that changes the neck alone."""
    words = ''.join(f', {key}={value!r}' for key, value in options.items())
    return f"model = dict(neck=dict(type='group_wsss.{kind}'{words}))"


def graph(in_channels=2048, channels=256, **more):
    return neck(
        'CoAttentionGNN',
        in_channels=in_channels,
        channels=channels,
        group_size=2,
        self_edge=True,
        **more)


def weak(loss, head_loss=False):
    return ("model = dict(type='group_wsss.WeakEncoderDecoder', "
            f"head_loss={head_loss}, "
            f"regularizers=[dict(type='group_wsss.{loss}')])")


MMSEG = {
    'graph-deeplabv3': (DEEPLAB, graph()),
    'graph-pspnet': (PSPNET, graph()),
    'graph-fcn': (FCN, graph()),
    'graph-upernet': (UPERNET, graph()),
    'graph-segformer': (SEGFORMER, graph(256, 128)),
    'graph-third-map': (UPERNET, graph(1024, in_index=2)),
    'graph-dropout': (DEEPLAB, neck('GraphDropout')),
    'whitening':
    (DEEPLAB, neck('PCAWhitening', in_channels=2048, out_channels=2048)),
    'whitened-keys':
    (DEEPLAB, graph(coattention=dict(key='whitened')), 'PCAWhitening'),
    'feature-cache': (DEEPLAB, CACHE),
    # another backbone: the weights of the old one go
    'vgg': (DEEPLAB18, """model = dict(pretrained=None, backbone=dict(
        _delete_=True, type='group_wsss.VGGOS8', out_indices=(0, 1, 2, 4)))"""
            ),
    'effnet': (FCN, """model = dict(pretrained=None, auxiliary_head=None,
        backbone=dict(_delete_=True, type='group_wsss.EffNetLite0',
                      output_stride=8),
        decode_head=dict(in_channels=1280, in_index=0))"""),
    'bootstrapped': (PSPNET, """model = dict(decode_head=dict(loss_decode=dict(
        _delete_=True, type='group_wsss.BootstrappedCrossEntropy')))"""),
    'gated-crf': (PSPNET, weak('GatedCRFLoss', head_loss={})),
    'soft-ce': (PSPNET, weak('SoftCrossEntropy')),
    'collision-ce': (UPERNET, weak('CollisionCrossEntropy')),
    'score-weighted': (SEGFORMER, weak('ScoreWeightedCrossEntropy')),
}
MMPRETRAIN = {
    'group-cam': (RESNET, "model = dict(type='group_wsss.GroupCAM')"),
    'group-cam-graph': (RESNET, """model = dict(type='group_wsss.GroupCAM',
        neck=dict(_delete_=True, type='group_wsss.CoAttentionGNN',
        in_channels=2048, group_size=2))"""),
    'recam': (RESNET, """model = dict(type='group_wsss.GroupCAM', neck=None,
        head=dict(_delete_=True, type='group_wsss.ReCAMHead',
        in_channels=2048, num_classes=1000))""", 'ReCAMLoss'),
    'equivariance': (RESNET, """model = dict(type='group_wsss.SEAMGroupCAM',
        equivariance=dict(scale=0.5))""", 'EquivarianceLoss'),
    'cam-head': (CSRA, """model = dict(head=dict(_delete_=True,
        type='group_wsss.GroupCAMHead', in_channels=2048, num_classes=20))"""),
    'graph': (CSRA, graph(_delete_=True)),
    'graph-dropout': (CSRA, neck('GraphDropout', _delete_=True)),
    'whitening':
    (CSRA,
     neck('PCAWhitening', in_channels=2048, out_channels=2048, _delete_=True)),
    'feature-cache': (RESNET, CACHE),
    'vgg': (RESNET18, """model = dict(backbone=dict(_delete_=True,
        type='group_wsss.VGGOS8', out_indices=(4, )))"""),
    'effnet': (EFFNET, """model = dict(backbone=dict(_delete_=True,
        type='group_wsss.EffNetLite0'))"""),
    'preprocessor': (CSRA, """data_preprocessor = dict(
        type='group_wsss.GroupDataPreprocessor')"""),
}


@pytest.fixture(scope='module')
def load(tmp_path_factory):
    """Load a config of an installed package with lines added to it."""
    folder = tmp_path_factory.mktemp('configs')

    def do(package, name, line=''):
        root = Path(importlib.import_module(package).__path__[0])
        shipped = root / '.mim' / 'configs' / name
        if not shipped.is_file():
            pytest.skip(f'this {package} was installed without {name}')
        path = folder / 'mixed.py'
        path.write_text(f'_base_ = {str(shipped)!r}\n{line}\n')
        return Config.fromfile(path)

    return do


def shrink(model):
    """A network that a test can run; ours are as in the line but narrow."""
    model = deepcopy(model)
    nodes = [node for _, node in walk(model) if isinstance(node, dict)]
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


def build(cfg, package, scope=None):
    """The model of a config, whatever the default scope is."""
    model = shrink(cfg.model)
    if model.get('data_preprocessor') is None:
        # as the runner does
        model['data_preprocessor'] = cfg.get('data_preprocessor')
    scope = scope or package
    if scope != package:
        model['_scope_'] = package
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(model)


def build_cell(cell, package, scope, load):
    """The model of a cell, and the part that its line puts there."""
    name, line, *kind = cell
    kind = (kind or re.findall(r'group_wsss\.(\w+)', line))[-1]
    model = build(load(package, name, line), package, scope)
    return model, find(model, kind)


def backward(model, batch):
    """Losses of a batch of uint8 pictures, and gradients."""
    model.train()
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    total, log = model.parse_losses(losses)
    assert torch.isfinite(total) and total > 0
    total.backward()
    return log


def find(model, name):
    """The first module of a class, by its name."""
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
    shape = number, 3, SIZE, SIZE
    return list(
        torch.randint(256, shape, generator=generator, dtype=torch.uint8))


def seg_batch(number=4, scores=False):
    inputs, samples = pictures(number), []
    for image in inputs:
        label = (image[:1].long() // 4) % 19
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
    model, part = build_cell(MMSEG[cell], 'mmseg', scope, load)
    scores = cell in ('soft-ce', 'collision-ce', 'score-weighted')
    backward(model, seg_batch(scores=scores))
    check_gradient(part)
    model.eval()
    with torch.no_grad():  # mmseg tests one image at a time
        sample, = model.test_step(seg_batch(number=1))
    assert sample.pred_sem_seg.shape == (SIZE, SIZE)


@pytest.mark.slow
@pytest.mark.parametrize('scope', SCOPES)
@pytest.mark.parametrize('cell', MMPRETRAIN)
def test_in_mmpretrain(cell, scope, load):
    model, part = build_cell(MMPRETRAIN[cell], 'mmpretrain', scope, load)
    many = MMPRETRAIN[cell][0] == CSRA
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
    model = build(load('mmseg', PSPNET, graph()), 'mmseg')
    torch.nn.init.normal_(model.neck.expand.weight)
    model.backbone = Levels()
    return model


def test_crops_of_slide_inference_are_no_group(trained, monkeypatch):
    trained.eval()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 3, SIZE, 2 * SIZE, generator=generator)
    metas = [dict(ori_shape=x.shape[2:], img_shape=x.shape[2:])] * 2
    sizes = []
    hook = trained.neck.register_forward_pre_hook(
        lambda module, args: sizes.append(len(args[0][-1])))
    cfg = dict(mode='slide', crop_size=(SIZE, SIZE), stride=(SIZE, SIZE))
    monkeypatch.setattr(trained, 'test_cfg', Config(cfg))
    with torch.no_grad():
        slid = trained.inference(x, deepcopy(metas))
        hook.remove()
        for crop, got in zip((x[:1, ..., :SIZE], x[1:, ..., SIZE:]),
                             (slid[:1, ..., :SIZE], slid[1:, ..., SIZE:])):
            alone = trained.encode_decode(crop,
                                          [dict(img_shape=crop.shape[2:])])
            torch.testing.assert_close(got, alone, atol=1e-4, rtol=1e-4)
        feats = trained.backbone(x[..., :SIZE])
        alone, pairs = (trained.neck(feats, k)[-1] for k in (None, 2))
    # the crops at one place of both images came together, and did not mix
    assert sizes == [2, 2]
    assert (alone - feats[-1]).abs().max() > 5e-3  # the edge to itself
    assert (alone - pairs).abs().max() > 5e-3  # what would be seen


def test_weights_of_a_config_reach_the_cached_backbone(load):
    """mmseg puts ``pretrained`` into whatever it calls the backbone."""
    cfg = load('mmseg', DEEPLAB, CACHE)
    address = cfg.model.pretrained
    assert address.startswith('open-mmlab://')
    model = dict(shrink(cfg.model), pretrained=address)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(model)
    assert model.backbone.backbone.init_cfg['checkpoint'] == address


def test_batch_of_a_segmentor_that_does_not_divide(trained):
    trained.train()
    with pytest.raises(InputError, match='batch of 3.*drop_last=True'):
        trained.loss(**trained.data_preprocessor(seg_batch(3), True))


# ---- a classifier that was trained by mmpretrain ---------------------------
HEAD = """model = dict(head=dict(_delete_=True, type='{}', num_classes=7,
    in_channels=2048{}))\n"""
TAKEN = "model.update(type='group_wsss.GroupCAM')"


@pytest.mark.parametrize('kind', ['LinearClsHead', 'MultiLabelLinearClsHead'])
def test_group_cam_is_the_classifier_it_takes_over(kind, load):
    line = HEAD.format(kind, '')
    stock, ours = (
        build(load('mmpretrain', RESNET, text), 'mmpretrain').eval()
        for text in (line, line + TAKEN))
    missing, unexpected = ours.load_state_dict(
        stock.state_dict(), strict=False)
    assert not missing and not unexpected
    assert ours.neck is None
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        maps, _ = ours(x)
        want = stock.head((stock.neck(stock.backbone(x))[-1], ))
    assert maps.shape == (2, 7, 2, 2)
    torch.testing.assert_close(maps.mean((2, 3)), want, atol=1e-5, rtol=1e-4)


def test_options_of_a_multi_label_head_are_kept(load):
    more = ", thr=0.3, loss=dict(type='AsymmetricLoss', gamma_neg=2.0)"
    line = HEAD.format('MultiLabelLinearClsHead', more) + TAKEN
    model = build(load('mmpretrain', RESNET, line), 'mmpretrain')
    assert model.head.thr == 0.3
    assert type(model.head.loss_module).__name__ == 'AsymmetricLoss'


def test_parts_in_the_wrong_place_say_where_they_belong(load):
    line = HEAD.format('group_wsss.GroupCAMHead', '') + TAKEN
    with pytest.raises(InputError, match='neck=None'):  # it pools
        build(load('mmpretrain', RESNET, line), 'mmpretrain')
    line = """model = dict(decode_head=dict(loss_decode=dict(
        _delete_=True, type='group_wsss.GatedCRFLoss')))"""
    model = build(load('mmseg', PSPNET, line), 'mmseg')
    with pytest.raises(InputError, match='regularizers of .*WeakEncoder'):
        backward(model, seg_batch())
    sample = DataSample()
    sample.set_metainfo(dict(img_path='a.jpg', ori_shape=(4, 4)))
    with pytest.raises(InputError, match="'img_id'.*meta_keys of PackInputs"):
        ScoreMap.from_sample(sample)


# ---- data, samplers, metrics, hooks ----------------------------------------
@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """A toy set, and its masks as a finished dump of stage 1."""
    root = tmp_path_factory.mktemp('mix') / 'toy'
    generate_toy(root, num_train=16, num_val=2, size=SIZE)
    writer = DumpWriter(str(root / 'labels'), TOY_CLASSES)
    writer.begin()
    for name in (root / 'ImageSets/train.txt').read_text().split():
        mask = read_index_png(str(root / f'SegmentationClass/{name}.png'))
        writer.write(name, mask)
    writer.finish(writer.counts)
    return root


LISTED = """train_dataloader = dict(dataset=dict(_delete_=True,
    type='group_wsss.{}', data_root='{}', ann_file='ImageSets/{}',
    {}pipeline=_base_.train_pipeline))"""


def listed(package, root):
    """A line with a dataset of ours in a config of a package."""
    if package == 'mmpretrain':
        return LISTED.format('ToyImageLevel', root, 'train_cls.txt', '')
    return LISTED.format(
        'PseudoLabelDataset', root, 'train.txt',
        "data_prefix=dict(img_path='JPEGImages', seg_map_path='labels'), ")


@pytest.mark.slow
@pytest.mark.parametrize('scope', SCOPES)
@pytest.mark.parametrize('package, name', [('mmseg', PSPNET),
                                           ('mmpretrain', CSRA)])
def test_data(package, name, scope, load, toy):
    """Dataset and sampler in the config of a package."""
    own = f"'{toy}/ImageSets/train_cls.txt'" if package == 'mmseg' else None
    line = listed(package, toy) + f"""
train_dataloader.update(num_workers=0, persistent_workers=False,
    batch_sampler=dict(group_size=2, match='any',
    type='group_wsss.GroupBatchSampler', ann_file={own}))"""
    cfg = load(package, name, line).train_dataloader
    narrow(cfg.dataset.pipeline)
    cfg.dataset._scope_ = package
    with DefaultScope.overwrite_default_scope(scope):
        loader = Runner.build_dataloader(cfg, seed=0)
    data, sampler = loader.dataset, loader.batch_sampler
    if package == 'mmseg':
        assert data.metainfo['classes'] == ('background', *TOY_CLASSES)
        values = np.unique(data[0]['data_samples'].gt_sem_seg.data)
        assert set(values) <= {*range(7), 255}
    else:
        assert type(data).__name__ == 'ToyImageLevel' and len(data) == 16
        assert tuple(data[0]['inputs'].shape) == (3, SIZE, SIZE)
        assert data[0]['data_samples'].gt_label.tolist() == data.get_cat_ids(0)
    batch = next(iter(sampler))
    assert len(batch) == cfg.batch_size
    for first, second in zip(batch[::2], batch[1::2]):
        assert first != second
        assert set(sampler.index.labels_of(first)) & set(
            sampler.index.labels_of(second))


@pytest.mark.parametrize('scope', SCOPES)
def test_small_parts(scope, toy):
    """What a config names by its type is found from every scope."""
    maps = np.zeros((2, 8, 8), np.float32)
    maps[0, :4], maps[1, 5:] = 0.9, 0.6
    score_map = ScoreMap('a', (SIZE, SIZE), [0, 2], maps)
    path = next((toy / 'JPEGImages').iterdir())
    with DefaultScope.overwrite_default_scope(scope):
        for name in ('PseudoLabelHook', 'AttentionAccumulationHook',
                     'GroupResumeHook', 'WeakSupervisionHook'):
            hook = HOOKS.build(dict(type=f'group_wsss.{name}'))
            assert type(hook).__name__ == name
        METRICS.build(dict(type='group_wsss.CAMIoU', ann_dir=str(toy)))
        assert LOOPS.get('group_wsss.TTATestLoop').__name__ == 'TTATestLoop'
        load, *_ = (
            TRANSFORMS.build(dict(type=f'group_wsss.{name}'))
            for name in ('LoadImage', 'LoadScores', 'PackScores'))
        refiners = [
            TASK_UTILS.build(dict(type=f'group_wsss.{name}'))
            for name in ('DenseCRF', 'PixelAdaptive')
        ]
        labeler = TASK_UTILS.build(dict(type='group_wsss.ThresholdLabeler'))
    image = load(dict(img_path=str(path)))['img']
    for refiner in refiners:
        refined = refiner(score_map, image)
        assert refined.class_ids.tolist() == [0, 2]
        assert labeler(refined).shape == (SIZE, SIZE)


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


def narrow(pipeline):
    """Pictures of 64 pixels."""
    for step in pipeline:
        if step.type in ('RandomResize', 'Resize'):
            step.scale = (2 * SIZE, SIZE)
        elif step.type == 'RandomCrop':
            step.crop_size = (SIZE, SIZE)
        elif step.type == 'Pad':
            step.size = (SIZE, SIZE)
        elif step.type == 'RandomResizedCrop':
            step.scale = SIZE


def run(cfg, folder, **train_cfg):
    """A short run of a config, with a small network and no workers."""
    cfg.model = shrink(cfg.model)
    for name in ('train', 'test'):
        loader = cfg.get(f'{name}_dataloader')
        if loader is not None:
            loader.update(num_workers=0, persistent_workers=False)
    narrow(cfg.train_dataloader.dataset.pipeline)
    cfg.train_dataloader.batch_size = 4
    cfg.train_cfg = train_cfg
    cfg.default_hooks.logger.interval = 1
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    cfg.work_dir = str(folder / 'work')
    cfg.experiment_name = f'mixing_{folder.name}'
    runner = RUNNERS.build(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == runner.iter and np.isfinite(losses).all()
    assert runner.train_loop.dataloader.batch_sampler.group_size == 2
    return runner


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
        model = build(Config.fromfile(files[name]), 'mmseg')
        find(model, kind)
        backward(model, seg_batch())
        if name == 'deeplabv3_cached':
            cache = model.backbone
            model.train()
            x = torch.rand(2, 3, SIZE, SIZE)
            assert all(torch.equal(*ab) for ab in zip(cache(x), cache(x)))
            assert cache.hits == 2
    # graph, groups and loss on the data of the page's own last config
    cfg = Config.fromfile(files['pspnet_pseudo'])
    groups = Config.fromfile(files['pspnet_groups'])
    loss = Config.fromfile(files['pspnet_bootstrapped']).model.decode_head
    cfg.train_dataloader.batch_sampler = groups.train_dataloader.batch_sampler
    cfg.model.neck = groups.model.neck
    cfg.model.decode_head.loss_decode = loss.loss_decode
    runner = run(cfg, tmp_path, type='IterBasedTrainLoop', max_iters=2)
    assert runner.iter == 2
    assert runner.model.decode_head.num_classes == 7
    assert runner.model.neck.expand.weight.abs().sum() > 0


@pytest.mark.slow
def test_page_of_mmpretrain(page, toy, tmp_path):
    files = page('mix_into_mmpretrain.md')
    kinds = dict(
        resnet50_cam='GroupCAM',
        resnet50_groups='CoAttentionGNN',
        resnet101_cam_head='GroupCAMHead')
    assert set(files) == {*kinds, 'resnet50_labels'}
    for name, kind in kinds.items():
        model = build(Config.fromfile(files[name]), 'mmpretrain')
        find(model, kind)
        samples = [
            DataSample(metainfo=dict(group_slot=i % 2)).set_gt_label(i)
            for i in range(4)
        ]
        backward(model, dict(inputs=pictures(), data_samples=samples))
    cfg = Config.fromfile(files['resnet50_labels'])
    cfg.custom_hooks.append(dict(type='group_wsss.WeakSupervisionHook'))
    cfg.test_evaluator = dict(
        type='group_wsss.CAMIoU', ann_dir=f'{toy}/SegmentationClass')
    runner = run(cfg, tmp_path, by_epoch=True, max_epochs=1)
    assert runner.iter == 16 * 2 / 4
    ids = (toy / 'ImageSets/train.txt').read_text().split()
    labels = sorted((tmp_path / 'work/pseudo_labels').glob('*.png'))
    assert [path.stem for path in labels] == sorted(ids)
    for path in labels:
        label = read_index_png(str(path))
        assert label.shape == (SIZE, SIZE)
        assert set(np.unique(label)) <= {*range(7), 255}


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
