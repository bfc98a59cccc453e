# Copyright (c) group_wsss contributors. All rights reserved.
"""configs/affinity, self_training and refine: from dumps, never from masks."""
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from group_wsss.datasets import VOC_CLASSES
from group_wsss.pseudo_labels import Refiners, Segmentor
from group_wsss.pseudo_labels.prototypes import Prototypes
from group_wsss.pseudo_labels.refiners.random_walk import RandomWalk
from group_wsss.pseudo_labels.thresholds import score_histogram
from group_wsss.registry import DATASETS, MODELS, TASK_UTILS
from group_wsss.structures import ScoreMap, encode_index_png

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
AFFINITY = sorted((CONFIGS / 'affinity').glob('*.py'))
REFINE = sorted((CONFIGS / 'refine').glob('*.py'))
SELF_TRAINING = sorted((CONFIGS / 'self_training').glob('*.py'))
PLAIN = CONFIGS / 'affinity/affinity_effnet-lite0_voc-layout.py'
CROP = (64, 64)


@pytest.fixture
def data(tiny_voc, tmp_path, monkeypatch):
    """Eight images with tags, labels and scores; masks that are garbage."""
    pytest.importorskip('timm')
    root, dump = tmp_path / 'voc', tmp_path / 'dump'
    shutil.copytree(tiny_voc, root)
    images = []
    for line in (root / 'ImageSets/train_cls.txt').read_text().splitlines():
        name, tag = line.split()
        mask = root / f'SegmentationClass/{name}.png'
        label = np.array(Image.open(mask))
        classes = [int(n) for n in np.unique(label) if 0 < n < 255]
        maps = np.stack([label == n for n in classes]) * .8 + .1
        ScoreMap(name, label.shape, [n - 1 for n in classes],
                 maps).save(str(dump / f'scores/{name}.npz'))
        shutil.copy(mask, dump)
        mask.write_bytes(b'this is no mask')
        images.append(
            dict(id=name, path=f'JPEGImages/{name}.jpg', labels=[int(tag)]))
    ids = ''.join(f'{image["id"]}\n' for image in images)
    (dump / 'ids.txt').write_text(ids)
    (root / 'labels.json').write_text(
        json.dumps(dict(classes=list('abcd'), images=images)))
    shutil.copy(root / 'ImageSets/train_cls.txt',
                root / 'ImageSets/Segmentation/trainaug_cls.txt')
    monkeypatch.setenv('DATA_ROOT', str(root))
    monkeypatch.setenv('TRAIN_LIST', 'ImageSets/train_cls.txt')
    monkeypatch.setenv('PSEUDO_DIR', str(dump))
    return tmp_path


@pytest.fixture
def load(data, monkeypatch):
    """A config that needs no network, on small images."""

    def do(path):
        own = 'custom' in path.stem  # its list names the classes
        if own:
            monkeypatch.setenv('TRAIN_LIST', 'labels.json')
        manifest = dict(
            labeler=dict(type='ThresholdLabeler', bg_threshold=0.4),
            classes=['background', *('abcd' if own else VOC_CLASSES)])
        (data / 'dump/manifest.json').write_text(json.dumps(manifest))
        cfg = Config.fromfile(path)
        cfg.train_dataloader.dataset.data_root = str(data / 'voc')
        for backbone in (cfg.model.backbone,
                         cfg.model.backbone.get('backbone', {})):
            backbone.pop('init_cfg', None)
            if 'weights' in backbone:
                backbone.weights = None
        for step in cfg.train_dataloader.dataset.pipeline:
            if step.type == 'RandomResize':
                step.scale = (256, 96)
            elif step.type == 'RandomCrop':
                step.crop_size = CROP
            elif step.type == 'Pad':
                step.size = CROP
        return cfg

    return do


@pytest.fixture
def train(data, call_tool, capsys):
    """Train a config by the tool: losses, checkpoint and saved config."""

    def do(cfg, iters, *options):
        cfg.dump(data / 'small.py')
        work = data / 'work'
        call_tool('train', data / 'small.py', '--work-dir', work,
                  '--cfg-options', f'train_cfg.max_iters={iters}',
                  f'default_hooks.checkpoint.interval={iters}',
                  'default_hooks.logger.interval=2',
                  'train_dataloader.num_workers=0',
                  'train_dataloader.persistent_workers=False', *options)
        out = capsys.readouterr().out
        checkpoint = str(work / f'iter_{iters}.pth')
        assert f"checkpoint='{checkpoint}'" in out
        losses = [float(x) for x in re.findall(r' loss: ([\d.]+)', out)]
        assert len(losses) == iters // 2
        return losses, str(work / 'small.py'), checkpoint

    return do


@pytest.mark.slow
@pytest.mark.parametrize('path', AFFINITY, ids=lambda path: path.stem)
def test_a_step_of_affinity(path, load):
    torch.manual_seed(0)
    np.random.seed(0)
    cfg = load(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model).train()
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = [dataset[i] for i in (0, 1)]
    for item in batch:
        assert item['inputs'].shape == (3, *CROP)
        values = set(item['data_samples'].seeds.data.unique().tolist())
        assert values <= {0, 1, 2, 255} and len(values) > 1
    data = {key: [item[key] for item in batch] for key in batch[0]}
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total)
    trained = {n for n, p in model.named_parameters() if p.grad is not None}
    assert trained and all(name.startswith('head.') for name in trained)
    # eight pixels a cell
    embedding = model(torch.rand(2, 3, 64, 96))
    assert embedding.shape[-2:] == (8, 12)


@pytest.mark.slow
def test_affinity_is_learnt_and_walked(data, load, train):
    """From seeds to better maps by the command line and a config."""
    cfg = load(PLAIN)
    cfg.model.backbone = dict(
        type='mmpretrain.ResNet',
        depth=18,
        stem_channels=8,
        base_channels=8,
        out_indices=(0, 1, 2, 3))
    cfg.model.head.update(
        in_channels=(8, 16, 32, 64), grid_index=0, channels=16)
    losses, *network = train(cfg, 12, 'model.freeze_backbone=False')
    assert losses[-1] < losses[0]
    walk = RandomWalk(*network, num_steps=16, device='cpu')
    image = Image.open(data / 'voc/JPEGImages/tiny_0.jpg')
    maps = np.zeros((1, 5, 6), np.float32)
    maps[0, 2, 2] = 1
    refined = walk.refine(maps, np.asarray(image))
    assert refined.shape == (1, 10, 12) and np.ptp(refined) > 0.02


@pytest.mark.slow
@pytest.mark.parametrize('path', SELF_TRAINING, ids=lambda path: path.stem)
def test_self_training_learns_and_refines(path, data, load, train):
    cfg = load(path)
    cfg.model.data_preprocessor.size = CROP
    if cfg.model.backbone.type == 'mmpretrain.ResNet':
        cfg.model.backbone.update(depth=18, base_channels=16)
        cfg.model.decode_head.in_channels = (32, 64, 128)
    losses, *network = train(
        cfg, 8, 'train_dataloader.batch_size=4',
        f'train_dataloader.dataset.pipeline.3.scale={CROP}'.replace(' ', ''),
        'optim_wrapper.optimizer.lr=5e-4')
    assert min(losses) < losses[0]
    refiner = Segmentor(*network, device='cpu')
    image = np.asarray(Image.open(data / 'voc/JPEGImages/tiny_1.jpg'))
    score_map = ScoreMap.load(str(data / 'dump/scores/tiny_1.npz'))
    refined = refiner(score_map, image)
    assert refined.maps.shape == (1, 40, 48)
    # its opinion counts, that of the maps as well; features of a random
    # ResNet without its statistics say next to nothing
    alike = np.corrcoef(refined.maps.ravel(), score_map.maps.ravel())[0, 1]
    assert 0.05 < alike < (0.9999999 if 'r50' in path.stem else 0.999)
    net = refiner.net
    classes = 5 if 'custom' in path.stem else 21
    assert net.decode_head.num_classes == classes
    # the backbone is as it was
    assert not any(p.requires_grad for p in net.backbone.parameters())


@pytest.mark.slow
@pytest.mark.parametrize('path, lost, message', [
    (PLAIN, 'manifest.json', 'dump: no manifest.json'),
    (SELF_TRAINING[0], 'scores', 'no scores of'),
])
def test_a_folder_of_masks_is_refused(path, lost, message, data, load,
                                      call_tool, capsys):
    load(path).dump(data / 'small.py')
    (data / 'dump' / lost).rename(data / 'lost')
    with pytest.raises(SystemExit) as caught:
        call_tool('train', data / 'small.py', '--work-dir', data / 'work')
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert error.count('\n') == 1 and message in error


NETWORKS = {
    'AFFINITY': 'configs/affinity/affinity_effnet-lite0_voc-layout.py',
    'SEGMENTOR': 'configs/self_training/fcn_effnet-lite0_voc-layout.py',
    'CHECKPOINT': 'configs/group_wsss/effnet-lite0_voc-layout.py'
}


@pytest.fixture(scope='module')
def networks(tmp_path_factory):
    """Weights of networks that have learnt nothing, by variable."""
    folder, paths = tmp_path_factory.mktemp('networks'), {}
    for name, config in NETWORKS.items():
        cfg = Config.fromfile(CONFIGS.parent / config)
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            net = MODELS.build(cfg.model)
        paths[name] = str(folder / f'{name}.pth')
        torch.save(dict(state_dict=net.state_dict()), paths[name])
    return paths


@pytest.mark.slow
@pytest.mark.parametrize('path', REFINE, ids=lambda path: path.stem)
def test_labels_of_refiners(path, networks, monkeypatch, tmp_path):
    for name, checkpoint in networks.items():
        monkeypatch.setenv(name, checkpoint)
    monkeypatch.setenv('SALIENCY_DIR', str(tmp_path))
    monkeypatch.setenv('REGIONS_DIR', str(tmp_path))
    salient = np.zeros((96, 112), np.uint8)
    salient[24:72, 8:48] = salient[32:64, 64:104] = 255
    salient[80:90, 60:100] = 80  # too weak for a class, too strong for none
    Image.fromarray(salient).save(tmp_path / 'x.png')
    regions = np.ones((96, 112), int)
    regions[24:72, 8:48], regions[32:64, 64:104] = 2, 3
    np.savez(tmp_path / 'x.npz', regions=regions)
    foreign = np.array([0, 0, 4, 8], np.uint8)[regions]
    (tmp_path / 'foreign').mkdir()
    (tmp_path / 'foreign' / 'x.png').write_bytes(encode_index_png(foreign))
    monkeypatch.setenv('FOREIGN', str(tmp_path / 'foreign'))
    monkeypatch.setenv('PROTOTYPES', str(tmp_path / 'p.npz'))
    features = np.random.default_rng(0).random((2, 1280), np.float32)
    Prototypes(np.array(['a', 'b']), np.array([3, 7]),
               features).save(str(tmp_path / 'p.npz'))
    monkeypatch.chdir('/')  # nothing is found by the current folder
    cfg = Config.fromfile(path)
    refiners = Refiners(cfg.refiners)
    labeler = TASK_UTILS.build(cfg.labeler)
    rng = np.random.default_rng(0)
    maps = np.zeros((2, 12, 14), np.float32)
    maps[0, 3:9, 1:6] = maps[1, 4:8, 8:13] = .9
    maps += rng.random(maps.shape, dtype=np.float32) * .1
    score_map = ScoreMap('x', (96, 112), [3, 7], maps)
    image = np.full((96, 112, 3), 90, np.uint8)
    image[24:72, 8:48], image[32:64, 64:104] = (200, 40, 30), (20, 180, 60)
    for step in [*refiners.steps, labeler]:
        if getattr(step, 'rule', None) is not None:
            step.fit(score_histogram(score_map))
    refined = refiners(score_map, image)
    label = labeler(refined)
    assert label.shape == (96, 112)
    if path.stem.startswith(('random_walk', 'self_training')):
        # random weights: other maps than before, of these classes alone
        before = score_map.resize(refined.maps.shape[1:]).maps
        assert np.abs(refined.maps - before).max() > 0.01
        assert set(np.unique(label)) <= {0, 4, 8}
        return
    # the middle of the shapes and of nothing
    assert (label[48, 28], label[48, 84], label[8, 56]) == (4, 8, 0)
    some = ('seeds', 'seeds_refined', 'saliency_released')
    assert (255 in label) == (path.stem in some)
