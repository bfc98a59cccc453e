# Copyright (c) group_wsss contributors. All rights reserved.
"""Stage 2 is stock mmseg: its own configs train on a dump."""
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    path for folder in ('deeplabv3', 'segformer')
    for path in (ROOT / 'configs' / folder).glob('*.py'))
STOCK = 'deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12aug-512x512.py'


def stock_config():
    """The DeepLabV3 config inside the installed mmseg, as shipped."""
    folder = importlib.util.find_spec('mmseg').submodule_search_locations[0]
    path = Path(folder) / '.mim' / 'configs' / STOCK
    if not path.is_file():
        pytest.skip('this mmseg comes without configs')
    return path


@pytest.fixture
def dump(tiny_voc, tmp_path):
    """Pseudo labels: the images cut in halves, a part unknown."""
    for number, path in enumerate(sorted((tiny_voc / 'JPEGImages').iterdir())):
        label = np.zeros((40, 48), np.uint8)
        label[:, 10 + number:] = number % 4 + 1
        label[:5] = 255
        image = Image.fromarray(label, mode='P')
        image.putpalette(list(range(256)) * 3)
        image.save(tmp_path / f'{path.stem}.png')
    return tmp_path


@pytest.mark.slow
def test_unmodified_config_of_mmseg(tiny_voc, dump, tmp_path, call_tool,
                                    capsys):
    # where the data are: all that stage 2 has to know; besides, a small
    # network on small images, without downloads
    train, val = 'train_dataloader', 'val_dataloader'
    options = [
        f'{val}.dataset.data_root={tiny_voc}',
        'model.pretrained=None',
        'model.data_preprocessor.size=(64,64)',
        'model.backbone.depth=18',
        'model.decode_head.in_channels=512',
        'model.auxiliary_head.in_channels=256',
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=2',
        'default_hooks.logger.interval=1',
        'default_hooks.checkpoint.interval=2',
        f'{val}.dataset.pipeline.1.scale=(96,64)',
        f'{train}.batch_size=2',
    ]
    for head in ('decode_head', 'auxiliary_head'):
        options += [
            f'model.{head}.channels=16',
            f'model.{head}.loss_decode.avg_non_ignore=True'
        ]
    for loader in (train, val):
        options += [
            f'{loader}.num_workers=0', f'{loader}.persistent_workers=False'
        ]
    for i in (0, 1):
        data = f'{train}.dataset.datasets.{i}'
        options += [
            f'{data}.data_root={tiny_voc}',
            f'{data}.data_prefix.seg_map_path={dump}',
            f'{data}.pipeline.2.scale=(96,64)',
            f'{data}.pipeline.3.crop_size=(64,64)',
            f'{data}.pipeline.6.size=(64,64)'
        ]
    for part in ('backbone', 'decode_head', 'auxiliary_head'):
        options.append(f'model.{part}.norm_cfg.type=BN')
    work_dir = tmp_path / 'work'
    call_tool('train', stock_config(), '--work-dir', work_dir, '--cfg-options',
              *options)
    out = capsys.readouterr().out
    assert 'Iter(train) [2/2]' in out and 'mIoU' in out
    assert (work_dir / 'iter_2.pth').is_file()


def build(path):
    """The model of a config, without weights from elsewhere."""
    cfg = Config.fromfile(path)
    cfg.model.pretrained = None
    if cfg.model.decode_head.get('num_classes') == 'from_data':
        cfg.model.decode_head.num_classes = 5
    if cfg.model.backbone.type == 'group_wsss.EffNetLite0':
        pytest.importorskip('timm')
        cfg.model.backbone.weights = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(cfg.model)


@pytest.mark.parametrize('name', [
    'deeplabv3_tiny_toy', 'deeplabv3_effnet-lite0_toy',
    'deeplabv3_effnet-lite0_voc-layout'
])
def test_small_models_run(name):
    model = build(ROOT / 'configs' / 'deeplabv3' / f'{name}.py').eval()
    with torch.no_grad():
        out = model(torch.rand(1, 3, 96, 96), mode='tensor')
    side = 96 // (16 if 'voc' in name else 8)
    assert out.shape == (1, model.decode_head.num_classes, side, side)


def of_class(value):
    return SegDataSample(
        gt_sem_seg=PixelData(data=torch.full((1, 64, 64), value)))


def test_the_backbone_of_segformer_runs_once_an_image():
    model = build(ROOT /
                  'configs/segformer/segformer_effnet-lite0_voc-layout.py')
    model.train()
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    samples = [of_class(1), of_class(255)]
    step = torch.optim.SGD([p for p in model.parameters() if p.requires_grad],
                           lr=1.)
    images, losses = torch.rand(2, 3, 64, 64), []
    for _ in range(2):
        loss = sum(v for k, v in model.loss(images, samples).items()
                   if 'loss' in k)
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    assert (model.backbone.hits, model.backbone.misses) == (2, 2)
    # images to be segmented are not kept, what is known stays
    model.eval()(torch.rand(1, 3, 64, 64))
    model(images)
    assert (model.backbone.hits, model.backbone.misses) == (4, 3)
    assert len(model.backbone._maps) == 2
    after = model.backbone.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_all_of_segformer_trains_on():
    frozen, model = (
        build(ROOT / 'configs/segformer' /
              f'segformer_effnet-lite0{name}_voc-layout.py')
        for name in ('', '_finetune'))
    model.load_state_dict(frozen.state_dict())  # names are the same
    model.train()
    losses = model.loss(torch.rand(2, 3, 64, 64), [of_class(1)] * 2)
    losses['decode.loss_ce'].backward()
    grads = {k: p.grad for k, p in model.backbone.named_parameters()}
    assert grads and all(grad is not None for grad in grads.values())
    assert (model.backbone.hits, model.backbone.misses) == (0, 0)
    # statistics of few images would be worse than those of ImageNet
    after = model.state_dict()
    for key, value in frozen.state_dict().items():
        if key.startswith('backbone.') and 'running' in key:
            assert torch.equal(after[key], value)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_training_reads_the_dump_and_testing_the_masks(path, monkeypatch):
    monkeypatch.setenv('PSEUDO_DIR', 'some/dump')
    monkeypatch.setenv('VAL_LIST', 'val.txt')
    cfg = Config.fromfile(path)
    assert cfg.default_scope == 'mmseg'
    assert tuple(cfg.model.data_preprocessor['size']) == cfg.crop_size
    # mmseg's loss, which leaves out the unknown pixels
    assert cfg.model.decode_head.loss_decode.type == 'CrossEntropyLoss'
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    if 'RandomCrop' in steps:
        assert steps['RandomCrop'].crop_size == cfg.crop_size
    else:  # all of the image
        assert steps['Resize'].scale == cfg.crop_size
        assert not steps['Resize'].keep_ratio
    prefix = cfg.train_dataloader.dataset.data_prefix
    # absolute, or mmengine would look for it inside data_root
    assert prefix.seg_map_path == str(Path('some/dump').absolute())
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.data_prefix.seg_map_path == 'SegmentationClass'
    monkeypatch.delenv('PSEUDO_DIR')
    prefix = Config.fromfile(path).train_dataloader.dataset.data_prefix
    assert prefix.seg_map_path.startswith(str(Path('work_dirs').absolute()))


def test_toy_classes_are_those_of_the_toy_set():
    from group_wsss.datasets.toy import TOY_CLASSES
    from group_wsss.structures.label_image import voc_palette
    for name in ('deeplabv3_tiny_toy', 'deeplabv3_effnet-lite0_toy'):
        cfg = Config.fromfile(ROOT / 'configs' / 'deeplabv3' / f'{name}.py')
        classes = tuple(cfg.metainfo.classes)
        assert classes == ('background', ) + tuple(TOY_CLASSES)
        assert cfg.metainfo.palette == voc_palette(len(classes)).tolist()
        assert cfg.model.decode_head.num_classes == len(classes)


def test_roots_come_from_the_environment(monkeypatch, tmp_path):
    folder = ROOT / 'configs' / 'deeplabv3'
    monkeypatch.setenv('TOY_ROOT', str(tmp_path / 'toy'))
    monkeypatch.setenv('DATA_ROOT', str(tmp_path / 'own images'))
    monkeypatch.setenv('PSEUDO_DIR', str(tmp_path / 'dump'))
    cfg = Config.fromfile(folder / 'deeplabv3_tiny_toy.py')
    assert cfg.train_dataloader.dataset.data_root == str(tmp_path / 'toy')
    cfg = Config.fromfile(folder / 'deeplabv3_effnet-lite0_voc-layout.py')
    data = cfg.train_dataloader.dataset
    assert data.data_root == str(tmp_path / 'own images')
    # written by the dump: no list to keep in step with it
    assert data.ann_file == str(tmp_path / 'dump' / 'ids.txt')
