# Copyright (c) group_wsss contributors. All rights reserved.
"""The configs of configs/self_training: trained on scores, never on masks."""
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from group_wsss.datasets import VOC_CLASSES
from group_wsss.pseudo_labels import Segmentor
from group_wsss.structures import ScoreMap

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs/self_training').glob('*.py'))


@pytest.fixture
def data(tiny_voc, tmp_path, monkeypatch):
    """Eight images, their tags and soft labels; no masks at all."""
    pytest.importorskip('timm')
    root, dump = tmp_path / 'voc', tmp_path / 'dump'
    shutil.copytree(tiny_voc, root)
    dump.mkdir()
    ids = []
    for path in sorted((root / 'SegmentationClass').iterdir()):
        label = np.array(Image.open(path))
        classes = [int(n) for n in np.unique(label) if 0 < n < 255]
        maps = np.stack([label == n for n in classes]) * .8 + .1
        shutil.move(path, dump)
        ScoreMap(path.stem, label.shape, [n - 1 for n in classes],
                 maps).save(str(dump / 'scores' / f'{path.stem}.npz'))
        ids.append(path.stem)
    (dump / 'ids.txt').write_text('\n'.join(ids) + '\n')
    manifest = dict(
        labeler=dict(type='ThresholdLabeler', bg_threshold=0.4),
        classes=['background', *'abcd'],
        palette=[[i, i, i] for i in range(5)])
    (dump / 'manifest.json').write_text(json.dumps(manifest))
    images = [dict(id=n, path=f'JPEGImages/{n}.jpg', labels=[]) for n in ids]
    (root / 'labels.json').write_text(
        json.dumps(dict(classes=list('abcd'), images=images)))
    monkeypatch.setenv('DATA_ROOT', str(root))
    monkeypatch.setenv('PSEUDO_DIR', str(dump))
    return tmp_path


def options(iters):
    return [
        '--cfg-options', f'train_cfg.max_iters={iters}',
        'default_hooks.logger.interval=2', 'train_dataloader.num_workers=0',
        f'default_hooks.checkpoint.interval={iters}',
        'train_dataloader.persistent_workers=False',
        'train_dataloader.batch_size=4',
        'train_dataloader.dataset.pipeline.3.scale=(64,64)',
        'optim_wrapper.optimizer.lr=5e-4'
    ]


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_train_and_refine(path, data, call_tool, capsys):
    own_classes = 'custom' in path.stem
    if not own_classes:
        manifest = json.loads((data / 'dump/manifest.json').read_text())
        manifest.update(
            classes=['background', *VOC_CLASSES],
            palette=[[i, i, i] for i in range(21)])
        (data / 'dump/manifest.json').write_text(json.dumps(manifest))
    config = Config.fromfile(path)
    config.model.data_preprocessor.size = (64, 64)
    config.train_dataloader.dataset.data_root = str(data / 'voc')
    backbone = config.model.backbone
    if backbone.type == 'mmpretrain.ResNet':
        backbone.update(depth=18, base_channels=16, init_cfg=None)
        config.model.decode_head.in_channels = (32, 64, 128)
    else:
        backbone.backbone.weights = None
    config.dump(data / 'small.py')
    work = data / 'work'
    call_tool('train', data / 'small.py', '--work-dir', work, *options(8))
    out = capsys.readouterr().out
    losses = [float(x) for x in re.findall(r' loss: ([\d.]+)', out)]
    assert len(losses) == 4 and min(losses) < losses[0]
    checkpoint = work / 'iter_8.pth'
    assert f"checkpoint='{checkpoint}'" in out
    refiner = Segmentor(str(work / 'small.py'), str(checkpoint), device='cpu')
    image = np.asarray(Image.open(data / 'voc/JPEGImages/tiny_1.jpg'))
    score_map = ScoreMap.load(str(data / 'dump/scores/tiny_1.npz'))
    refined = refiner(score_map, image)
    assert refined.maps.shape == (1, 40, 48)
    net = refiner.net
    # its opinion counts, that of the maps as well; features of a random
    # ResNet without its statistics say next to nothing
    alike = np.corrcoef(refined.maps.ravel(), score_map.maps.ravel())[0, 1]
    assert 0.05 < alike < (0.9999999 if 'r50' in path.stem else 0.999)
    assert net.decode_head.num_classes == (5 if own_classes else 21)
    # the backbone is as it was
    assert not any(p.requires_grad for p in net.backbone.parameters())


@pytest.mark.slow
def test_a_folder_of_masks_is_refused(data, call_tool, capsys):
    shutil.rmtree(data / 'dump/scores')
    with pytest.raises(SystemExit) as caught:
        call_tool('train', CONFIGS[0], '--work-dir', data / 'work',
                  *options(2))
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert error.count('\n') == 1 and 'no scores of' in error


def test_readme_names_every_config():
    text = (ROOT / 'configs/self_training/README.md').read_text()
    for path in CONFIGS:
        assert f'({path.name})' in text
