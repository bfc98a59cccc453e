# Copyright (c) group_wsss contributors. All rights reserved.
"""Every config of configs/refine turns score maps into labels."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from group_wsss.pseudo_labels import Refiners
from group_wsss.pseudo_labels.prototypes import Prototypes
from group_wsss.pseudo_labels.thresholds import score_histogram
from group_wsss.registry import MODELS, TASK_UTILS
from group_wsss.structures import ScoreMap, encode_index_png

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs/refine').glob('*.py'))
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
        cfg = Config.fromfile(ROOT / config)
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            net = MODELS.build(cfg.model)
        paths[name] = str(folder / f'{name}.pth')
        torch.save(dict(state_dict=net.state_dict()), paths[name])
    return paths


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_labels(path, networks, monkeypatch, tmp_path):
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
