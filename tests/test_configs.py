# Copyright (c) group_wsss contributors. All rights reserved.
"""Every config loads, builds, and stage 1 makes a step; no network."""
import gc
import json
import re
import runpy
import shutil
import signal
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn as nn
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, RUNNERS
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from PIL import Image

from group_wsss.datasets import COCO_CLASSES, generate_toy
from group_wsss.datasets.voc import VOC_CLASSES
from group_wsss.engine.runner import settle_group_size, settle_num_classes
from group_wsss.structures import ScoreMap
from group_wsss.utils.config import walk

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / 'configs/group_wsss/reference.py'
STAGE1 = sorted((ROOT / 'configs/group_wsss').glob('*.py'))
STAGE2 = sorted(
    path for folder in ('deeplabv3', 'deeplabv3plus', 'segformer', 'segmenter')
    for path in (ROOT / 'configs' / folder).glob('*.py'))
MIXINS = sorted((ROOT / 'configs/mixins').glob('*.py'))
# built in test_stage2_heads.py where mmdet is installed
MASK2FORMER = sorted((ROOT / 'configs/mask2former').glob('*.py'))
AFFINITY = sorted((ROOT / 'configs/affinity').glob('*.py'))
ALL = STAGE1 + STAGE2 + MIXINS + MASK2FORMER
PREEMPTIONS = (signal.SIGTERM, signal.SIGUSR1)


def each(paths):
    """A case for each config."""
    return pytest.mark.parametrize('path', paths, ids=lambda path: path.stem)


def dicts(cfg):
    """All dicts of a config."""
    return [node for _, node in walk(cfg) if isinstance(node, dict)]


@pytest.fixture(scope='module')
def roots(tiny_voc, tmp_path_factory):
    """A VOC-layout folder for all configs, and a toy set."""
    root = tmp_path_factory.mktemp('configs')
    voc, toy = root / 'voc', root / 'toy'
    shutil.copytree(tiny_voc, voc)
    shutil.copytree(voc / 'SegmentationClass', root / 'pseudo')
    tags = ''.join(f'tiny_{i} {i % 2}\n' for i in range(8))
    # images of two sizes
    for i in range(4):
        Image.new('RGB', (40, 56),
                  (30 * i, 90, 0)).save(voc / f'JPEGImages/tiny_{i}.jpg')
        shape = Image.new('P', (40, 56), i % 4 + 1)
        for folder in (voc / 'SegmentationClass', root / 'pseudo'):
            shape.save(folder / f'tiny_{i}.png')
    # as the writer of labels leaves it
    ids = ''.join(f'tiny_{i}\n' for i in range(8))
    (root / 'pseudo/ids.txt').write_text(ids)
    for path in (root / 'pseudo').glob('*.png'):
        shape = np.array(Image.open(path)).shape
        ScoreMap(path.stem, shape, [1], np.ones(
            (1, 2, 2))).save(str(root / f'pseudo/scores/{path.stem}.npz'))
    (voc / 'ImageSets/train_cls.txt').write_text(tags)
    for split in ('trainaug', 'val'):
        path = voc / f'ImageSets/Segmentation/{split}_cls.txt'
        path.write_text(tags)
    # the layout of COCO, beside that of VOC
    (voc / 'annotations').mkdir()
    content = dict(
        categories=[
            dict(id=i + 1, name=name) for i, name in enumerate(COCO_CLASSES)
        ],
        images=[dict(id=i, file_name=f'tiny_{i}.jpg') for i in range(8)],
        annotations=[
            dict(id=i, image_id=i, category_id=i % 2 + 1) for i in range(8)
        ])
    for split in ('train2014', 'val2014'):
        (voc / split).symlink_to(voc / 'JPEGImages')
        path = voc / f'annotations/instances_{split}.json'
        path.write_text(json.dumps(content))
        (voc / f'ImageSets/{split}.txt').write_text(ids)
    # a list that names its classes
    images = [
        dict(id=f'tiny_{i}', path=f'JPEGImages/tiny_{i}.jpg', labels=[i % 2])
        for i in range(8)
    ]
    (voc / 'labels.json').write_text(
        json.dumps(dict(classes=list('abcd'), images=images)))
    generate_toy(toy, num_train=24, num_val=4, size=48)
    shutil.copytree(toy / 'SegmentationClass', root / 'toy_pseudo')
    gc.freeze()  # collections below need not look at modules
    return root


@pytest.fixture
def load(roots, tmp_path, monkeypatch):
    """Load a config for the folders above, shrunk to what a test can run."""

    def refuse(*args, **kwargs):
        raise AssertionError('a test of configs wants the network')

    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(Runner, '_log_env', lambda *args: None)

    def do(path):
        toy = path.stem.endswith('toy')
        pseudo = roots / ('toy_pseudo' if toy else 'pseudo')
        names = VOC_CLASSES
        if 'coco' in path.stem:
            names = COCO_CLASSES
        elif 'custom' in path.stem:
            names = 'abcd'
        (roots / 'pseudo/manifest.json').write_text(
            json.dumps(dict(classes=['background', *names])))
        env = dict(
            DATA_ROOT=roots / 'voc',
            TOY_ROOT=roots / 'toy',
            PSEUDO_DIR=pseudo,
            TRAIN_LIST='ImageSets/train_cls.txt',
            VAL_LIST='ImageSets/Segmentation/val.txt')
        if 'custom' in path.stem:
            env.update(TRAIN_LIST='labels.json', VAL_LIST='labels.json')
        for key, value in env.items():
            monkeypatch.setenv(key, str(value))
        cfg = Config.fromfile(path)
        settle_num_classes(cfg, ['train_dataloader'])
        small(cfg)
        for node in dicts(cfg._cfg_dict):
            if str(node.get('data_root', '')).startswith('data/VOCdevkit'):
                node['data_root'] = str(roots / 'voc')
        cfg.work_dir = str(tmp_path / 'work')
        cfg.experiment_name = f'{path.stem}_{tmp_path.name}'
        return cfg

    signals = {n: signal.getsignal(n) for n in PREEMPTIONS}
    yield do
    # a training that does not end keeps its runner, and all of them eight GB
    for number, handler in signals.items():
        signal.signal(number, handler)
    gc.collect()


def small(cfg):
    """No pretrained weights, no workers, tiny pictures, one group."""
    for node in dicts(cfg.model):
        node.pop('init_cfg', None)
        node.pop('pretrained', None)
        if node.get('type') == 'group_wsss.EffNetLite0':
            pytest.importorskip('timm')
            node['weights'] = None
        if node.get('type') == 'group_wsss.TIMMTransformer':
            pytest.importorskip('timm', '1.0.20')
    for name in ('train', 'val', 'test'):
        loader = cfg.get(f'{name}_dataloader')
        if loader is not None:
            loader.update(num_workers=0, persistent_workers=False)
    if 'group_size' in cfg:
        cfg.train_dataloader.batch_size = cfg.group_size
    for node in dicts(cfg._cfg_dict):
        if node.get('type') == 'Resize' and 'keep_ratio' in node and (
                cfg.default_scope == 'mmpretrain'):
            side = 70 if node['scale'][0] % 14 == 0 else 64
            side = 112 if node['scale'][0] % 112 == 0 else side
            node['scale'] = (side, side)
        elif node.get('type') == 'ResizeEdge':
            node['scale'] = 64
        elif node.get('type') == 'RandomResize':
            node['scale'] = (256, 64)


def build(cfg):
    """A runner that has built all that training would build."""
    runner = RUNNERS.get(cfg.get('runner_type', 'Runner')).from_cfg(cfg)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    if runner.param_schedulers:
        runner.param_schedulers = runner.build_param_scheduler(
            runner.param_schedulers)
    if runner._val_loop is not None:
        runner._val_loop = runner.build_val_loop(runner._val_loop)
    if runner._test_loop is not None:
        runner._test_loop = runner.build_test_loop(runner._test_loop)
    runner.call_hook('before_run')
    runner.call_hook('before_train')
    return runner


@pytest.mark.slow
@each(STAGE1)
def test_stage1(path, load):
    torch.manual_seed(0)
    cfg = load(path)
    runner = build(cfg)
    k = cfg.group_size
    model, loader = runner.model, runner.train_loop.dataloader
    assert loader.batch_sampler.group_size == k
    batch = next(iter(loader))
    assert len(batch['inputs']) == k
    weight = next(value for name, value in model.named_parameters()
                  if name.endswith('classifier.weight'))
    before = weight.detach().clone()
    model.train()
    losses = model.train_step(batch, runner.optim_wrapper)
    contrast = {'loss_contrast'} if model.neck.contrast is not None else set()
    assert set(losses) == {'loss', 'loss_cam', 'loss_graph'} | contrast
    assert all(torch.isfinite(v) for v in losses.values())
    assert not torch.equal(weight, before)

    model.eval()
    loop = runner.test_loop
    batch = next(iter(loop.dataloader))
    assert len(batch['inputs']) == loop.dataloader.dataset.group_size > 1
    with torch.no_grad():
        sample, = model.test_step(batch)
    assert sample.img_id == batch['data_samples'][0].img_id
    assert sample.class_maps.shape[0] == len(sample.class_ids) > 0
    assert torch.isfinite(sample.class_maps).all()
    loop.evaluator.process([sample], batch)
    # the names of the heads agree with the data
    classes = loop.dataloader.dataset.metainfo['classes']
    assert len(classes) == sample.pred_score.numel() == model.head.num_classes
    if runner.val_loop is not None:
        batch = next(iter(runner.val_loop.dataloader))
        # a score must not know the tags that partners are found by
        assert len(batch['inputs']) == 1
        runner.val_loop.evaluator.process(model.test_step(batch), batch)
        metrics = runner.val_loop.evaluator.evaluate(1)
        assert set(metrics) == {'multi-label/mAP'}


@pytest.mark.slow
@each(STAGE2 + MIXINS)
def test_stage2(path, load):
    cfg = load(path)
    runner = build(cfg)
    batch = next(iter(runner.train_loop.dataloader))
    assert len(batch['inputs']) == cfg.train_dataloader.batch_size
    pseudo = 'toy_pseudo' if path.stem.endswith('toy') else 'pseudo'
    for sample in batch['data_samples']:
        assert Path(sample.seg_map_path).parent.name == pseudo
        values = set(np.unique(sample.gt_sem_seg.data))
        assert values <= {*range(cfg.model.decode_head.num_classes), 255}
    batch = next(iter(runner.val_loop.dataloader))
    sample, = batch['data_samples']
    assert Path(sample.seg_map_path).parent.name == 'SegmentationClass'
    classes = runner.val_loop.dataloader.dataset.metainfo['classes']
    assert len(classes) == cfg.model.decode_head.num_classes
    # else mmseg averages over unknown pixels
    heads = [cfg.model.decode_head, cfg.model.get('auxiliary_head')]
    assert all(h.loss_decode.avg_non_ignore for h in heads if h)


def base_files(path):
    """Files above a config with their distance."""
    for name in Config._get_base_files(path):
        base = (path.parent / name).resolve()
        yield base, 1
        for above, depth in base_files(base):
            yield above, depth + 1


@each(ALL)
def test_inheritance(path):
    bases = list(base_files(path))
    assert max(depth for _, depth in bases) + 1 <= 3
    for base, _ in bases:
        assert base.is_file() and base.is_relative_to(ROOT / 'configs')


@pytest.mark.slow
@each(STAGE1 + AFFINITY)
def test_sees_no_masks(path):
    cfg = Config.fromfile(path)
    if path.stem == 'toy':  # measured, in the test loop alone
        cfg.pop('test_evaluator')
    for text in ('SegmentationClass', 'Annotations', 'save_best', 'seg_map'):
        assert text not in cfg.dump(), text
    assert cfg.default_hooks.weak_supervision == dict(
        type='group_wsss.WeakSupervisionHook')
    assert cfg.custom_imports == dict(
        imports=['group_wsss'], allow_failed_imports=False)
    if path in AFFINITY:
        assert 'val_dataloader' not in cfg and 'test_dataloader' not in cfg
        assert 'end' not in cfg.param_scheduler[0]
        return
    assert cfg.runner_type == 'group_wsss.DataRunner'
    hooks = {hook.type for hook in cfg.default_hooks.values()}
    assert hooks & {
        'group_wsss.PseudoLabelHook', 'group_wsss.AttentionAccumulationHook'
    }


@each(STAGE1)
def test_stage1_names(path):
    assert re.fullmatch(r'[a-z0-9-]+(_[a-z0-9-]+)?', path.stem)
    bases = [base.stem for base, _ in base_files(path)]
    backbone = path.stem.partition('_')[2]
    if path.stem.startswith('voc_') and backbone != 'paper':
        assert f'group_cam_{backbone}' in bases and 'voc12_cls' in bases
    cfg = Config.fromfile(path)
    assert 'group_size' not in cfg.train_dataloader.batch_sampler
    assert cfg.train_dataloader.batch_size % cfg.group_size == 0
    if 'auto_scale_lr' in cfg:
        assert cfg.auto_scale_lr.base_batch_size == (
            cfg.train_dataloader.batch_size)


@each(STAGE2 + MIXINS)
def test_stage2_names(path):
    match = re.fullmatch(
        r'[a-z0-9]+_[a-z0-9-]+(_[a-z-]+)?_(toy|voc-layout|coco|custom|'
        r'\d+xb(\d+)-(\d+)k_(?:voc12|coco)-pseudo-(\d+)x(\d+))', path.stem)
    assert match, path.stem
    cfg = Config.fromfile(path)
    if match[3]:
        assert cfg.train_dataloader.batch_size == int(match[3])
        assert cfg.train_cfg.max_iters == 1000 * int(match[4])
        size = tuple(map(int, match.groups()[4:]))
        assert cfg.model.data_preprocessor.size == size
        crop, = (
            step for step in cfg.train_pipeline if step.type == 'RandomCrop')
        assert tuple(crop.crop_size) == size


def test_stage2_looks_where_stage1_writes(monkeypatch):
    monkeypatch.delenv('PSEUDO_DIR', raising=False)
    cfg = Config.fromfile(ROOT / 'configs/group_wsss/voc.py')
    hook = cfg.default_hooks.pseudo_labels
    assert hook.get('out_dir') is None  # <work_dir>/pseudo_labels
    for path in STAGE2:
        cfg = Config.fromfile(path)
        for part, stage1 in (('voc12-', 'voc'), ('coco-', 'coco'),
                             ('lite0_coco', 'effnet-lite0_coco'),
                             ('lite0_custom', 'custom')):
            if part in path.stem:
                assert cfg.pseudo_dir.endswith(
                    f'work_dirs/{stage1}/pseudo_labels')
    for path in STAGE1:
        text = Config.fromfile(path).get('next_step') or ''
        for name in re.findall(r'configs/\S+', text):
            assert (ROOT / name).is_file()


@pytest.mark.parametrize('backbone', [
    None, 'r50', 'r101', 'effnet-lite0', 'convnext-t', 'swin-t', 'deit-s',
    'vit-s'
])
def test_settings_of_the_backbones(backbone):
    name = f'voc_{backbone}' if backbone else 'voc'
    cfg = Config.fromfile(ROOT / f'configs/group_wsss/{name}.py')
    modern = backbone in ('convnext-t', 'swin-t', 'deit-s', 'vit-s')
    assert cfg.optim_wrapper.optimizer.type == ('AdamW' if modern else 'SGD')
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == 15
    neck = cfg.model.neck
    assert 'num_classes' not in neck.get('projection', {})
    assert (neck.num_steps, neck['update'], neck.dropout) == (1, 'mix', None)
    assert neck.coattention.key == 'whitened'
    assert cfg.default_hooks.pseudo_labels.labeler.bg_threshold == 'otsu'


def rates_of(model, cfg):
    """Names, parameters and their group of an optimizer."""
    optim = build_optim_wrapper(model, cfg).optimizer
    groups = {
        id(p): group
        for group in optim.param_groups
        for p in group['params']
    }
    for name, parameter in model.named_parameters():
        yield name, parameter, groups[id(parameter)]


def test_adamw_learning_rates():
    """New layers 10x; no decay of norms, biases and embeddings."""
    cfg = Config.fromfile(ROOT / 'configs/group_wsss/voc_swin-t.py')
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model)
    for name, _, group in rates_of(model, cfg.optim_wrapper):
        new = name.startswith(('neck.', 'head.'))
        assert group['lr'] == pytest.approx(2e-4 if new else 2e-5), name
        if not new:
            plain = ('norm' in name or name.endswith('bias')
                     or 'relative_position_bias_table' in name)
            assert group['weight_decay'] == (0 if plain else 0.05), name


def test_paper_learning_rates():
    """1x, 2x, 10x, 20x by kind of parameter."""
    cfg = Config.fromfile(ROOT /
                          'configs/_base_/schedules/schedule_15e_sgd.py')
    model = nn.Module()
    model.backbone = nn.Sequential(nn.Conv2d(3, 8, 3))
    # EfficientNets have a layer of this name in the backbone
    model.backbone.conv_head = nn.Conv2d(8, 8, 1)
    model.neck = MODELS.build(
        dict(
            type='group_wsss.CoAttentionGNN',
            in_channels=8,
            group_size=3,
            projection=dict(num_convs=3, channels=8),
            aggregation='concat'))
    model.head = MODELS.build(
        dict(type='group_wsss.GroupCAMHead', in_channels=8, num_classes=20))
    seen = set()
    for name, _, group in rates_of(model, cfg.optim_wrapper):
        new = not name.startswith('backbone.')
        wanted = 1e-3 * (10 if new else 1) * (2 if 'bias' in name else 1)
        if 'conv_head' in name:
            wanted = 1e-3
        assert group['lr'] == pytest.approx(wanted), name
        assert (group['momentum'], group['nesterov'],
                group['weight_decay']) == (0.9, True, 5e-4)
        seen.add(round(wanted * 1e3))
    assert seen == {1, 2, 10, 20}


# ---- the released code's choices -------------------------------------------
def plain_loops():
    """Helpers of the test that derives the forward pass with loops."""
    path = ROOT / 'tests/test_models/test_classifiers/test_reference.py'
    return SimpleNamespace(**runpy.run_path(str(path)))


CHOICES = {
    'model.backbone.type': 'group_wsss.VGGOS8',
    'model.neck.projection.num_convs': 3,
    'model.neck.projection.channels': 512,
    'model.neck.projection.num_classes': 20,
    'model.neck.coattention.bias': True,
    'model.neck.coattention.key_channels': 10,
    'model.neck.dropout': dict(
        type='group_wsss.GraphDropout',
        drop_prob=0.8,
        drop_threshold=0.7,
        coin='sample',
        active_in_eval=True),
    'model.head.in_channels': None,
    'train_pipeline.1.scale': 256,
    'train_pipeline.1.edge': 'short',
    'train_dataloader.batch_size': 3,
    'train_dataloader.batch_sampler.match': 'exact',
    'optim_wrapper.optimizer.type': 'SGD',
    'optim_wrapper.optimizer.lr': 1e-3,
    'param_scheduler.0.milestones': [5, 10],
    'default_hooks.pseudo_labels.type':
    'group_wsss.AttentionAccumulationHook',
    'default_hooks.pseudo_labels.begin_epoch': 1,
    'default_hooks.pseudo_labels.anchors_only': True,
    'default_hooks.pseudo_labels.min_score': 0.1,
    'default_hooks.pseudo_labels.labeler.type': 'group_wsss.SaliencyLabeler',
}  # yapf: disable


def test_reference_choices():
    """What the released code does and no other config should change."""
    cfg = Config.fromfile(REFERENCE)
    found = dict(walk(cfg._cfg_dict))
    assert {key: found.get(key) for key in CHOICES} == CHOICES
    assert [step.type for step in cfg.train_pipeline] == [
        'group_wsss.LoadImage', 'ResizeEdge', 'ColorJitter', 'PackInputs'
    ]
    assert cfg.train_dataloader.dataset.pipeline == cfg.train_pipeline
    paper = Config.fromfile(REFERENCE.with_name('voc_paper.py'))
    neck = MODELS.build(paper.model.neck)
    assert (neck.num_steps, neck.update, paper.group_size) == (3, 'gru', 4)
    assert neck.dropout is not None and neck.coattention.key is not None


@pytest.mark.slow
@pytest.mark.parametrize('which', [0, 2])
def test_reference_equals_plain_loops(which, monkeypatch):
    plain = plain_loops()
    coins = plain.COINS[which]
    cfg = Config.fromfile(REFERENCE)
    torch.manual_seed(0)
    cfg.model.backbone = None
    settle_group_size(cfg)
    model_cfg = cfg.model.to_dict()
    model_cfg['backbone'] = nn.Sequential(
        nn.Conv2d(3, 512, 3, stride=2, padding=1), nn.ReLU())
    model = MODELS.build(model_cfg)
    assert (model.neck.group_size, model.neck.num_steps,
            model.head.num_classes) == (plain.K, plain.T, plain.CLASSES)
    model.neck.init_weights()
    for name, value in model.neck.named_parameters():
        if name.endswith('bias'):
            assert not value.any(), name
        elif value.numel() > 1000:
            assert value.std().item() == pytest.approx(.01, rel=.1), name
        else:
            assert 0 < value.abs().max() < .05, name
    # layers that pass something on, and biases that would be missed
    for name, value in model.neck.named_parameters():
        nn.init.normal_(
            value, std=.1 if value.dim() == 1 else (2 / value[0].numel())**.5)
    # maps of some size, so that gate, softmax and tanh have work to do
    nn.init.normal_(model.neck.projection.classifier.weight, std=0.1)
    model = model.double().train()
    images = torch.randn(plain.K, 3, 12, 14, dtype=torch.double)
    samples = [DataSample().set_gt_label(x) for x in plain.LABELS]
    cams, states = plain.plain_forward(model, images, coins)

    def run(mode):
        with monkeypatch.context() as patch:
            plain.throw(patch, coins)
            return model(images, samples, mode=mode)

    close = dict(atol=1e-5, rtol=1e-5)
    maps, group_maps = run('tensor')
    torch.testing.assert_close(maps, cams, **close)
    torch.testing.assert_close(group_maps, states, **close)
    assert (group_maps - maps).abs().max() > 0.1
    # gradients are compared beside the loops
    loss, want = sum(run('loss').values()), plain.plain_loss(cams, states)
    torch.testing.assert_close(loss, want.to(loss.dtype), **close)
    # the released code drops at inference as well
    plain.throw(monkeypatch, coins)
    for slot, sample in enumerate(samples):
        sample.set_metainfo(dict(group_slot=slot))
    anchor, = model.eval()(images, samples, mode='predict')
    mean = ((cams[0] + states[0]) / 2).relu()[plain.LABELS[0]]
    torch.testing.assert_close(anchor.class_maps.double(), mean, **close)


# ---- metafiles and pages ---------------------------------------------------
@pytest.mark.parametrize(
    'readme',
    sorted((ROOT / 'configs').glob('*/README.md')),
    ids=lambda path: path.parent.name)
def test_readme_names_every_config(readme):
    named = set(re.findall(r'[(`]([\w-]+\.py)[)`]', readme.read_text('utf-8')))
    assert {path.name for path in readme.parent.glob('*.py')} <= named


def test_metafiles():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert list(index) == ['Import']
    listed = {ROOT / name for name in index['Import']}
    assert listed == set((ROOT / 'configs').rglob('metafile.yml'))
    seen = set()
    for path in sorted(listed):
        meta = yaml.safe_load(path.read_text())
        collections = {entry['Name'] for entry in meta['Collections']}
        for entry in meta['Collections']:
            assert (ROOT / entry['README']).is_file()
            assert entry['Paper']['URL'].startswith('https://')
            if 'Code' in entry:
                assert (ROOT / entry['Code']['URL']).is_file()
        for entry in meta['Models']:
            config = ROOT / entry['Config']
            assert entry['Name'] == config.stem not in seen
            assert entry['In Collection'] in collections
            assert config in ALL and config.parent == path.parent
            seen.add(config.stem)
            # nothing that has not been measured, no file that is not there
            assert 'Weights' not in entry
            for result in entry.get('Results', []):
                assert {'Task', 'Dataset', 'Metrics'} <= set(result)
    assert seen == {path.stem for path in STAGE1 + STAGE2 + MASK2FORMER}


@each(STAGE1)
def test_augmentations_fit_the_model(path):
    cfg = Config.fromfile(path)
    resize = [t for t in cfg.test_pipeline if t['type'].startswith('Resize')]
    steps = cfg.tta_pipeline[-1]['transforms']
    sizes = [t for t in steps[0] if t['type'].startswith('Resize')]
    # as in the test pipeline, but for the size, which is among them
    assert len(sizes) == len(cfg.tta_sizes) > 1
    if resize:
        assert resize[0] in sizes
        same = [{**t, 'scale': 0} for t in sizes]
        assert same == [{**resize[0], 'scale': 0}] * len(sizes)
    if 'vit' in path.stem or 'deit' in path.stem:
        patch = 14 if 'vit-s' in path.stem else 16
        assert all(side % patch == 0 for side in cfg.tta_sizes)
    assert [t['prob'] for t in steps[1]] == [0, 1]
