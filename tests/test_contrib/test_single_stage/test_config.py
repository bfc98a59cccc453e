# Copyright (c) group_wsss contributors. All rights reserved.
"""The config trains from tags; nothing else is opened."""
import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.apis import init_model

from group_wsss.datasets import VOC_CLASSES

timm = pytest.importorskip('timm')

from group_wsss.contrib.single_stage import EffNetLite0Levels  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
CONFIG, = (ROOT / 'configs/single_stage').glob('*_effnet-lite0_voc-layout.py')


def test_levels_are_those_of_timm():
    torch.manual_seed(0)
    levels = EffNetLite0Levels(
        weights=None, output_stride=32, levels=(1, 4)).eval()
    x = torch.rand(1, 3, 64, 96)
    plain = timm.create_model(
        'tf_efficientnet_lite0', features_only=True,
        out_indices=(1, 4)).eval()
    plain.load_state_dict(levels.timm_model.state_dict(), strict=False)
    got = levels(x)
    assert [tuple(m.shape[1:]) for m in got] == [(24, 16, 24), (320, 2, 3),
                                                 (1280, 2, 3)]
    for one, want in zip(got, plain(x)):
        torch.testing.assert_close(one, want)
    torch.testing.assert_close(got[-1], levels.timm_model.forward_features(x))


def config(folder, **model):
    """The config for tiny images, with random weights."""
    cfg = Config.fromfile(CONFIG)
    for node in (cfg.train_pipeline, cfg.train_dataloader.dataset.pipeline,
                 cfg.test_dataloader.dataset.pipeline):
        resize, = (step for step in node if step.type == 'Resize')
        resize.scale = (64, 64)
    cfg.model.data_preprocessor.size = (64, 64)
    cfg.model.backbone.backbone.weights = None
    cfg.model.update(model)
    cfg.dump(folder / 'small.py')
    return folder / 'small.py'


@pytest.mark.slow
def test_trains_from_tags_alone(tiny_voc, tmp_path, call_tool, capsys,
                                monkeypatch):
    root = tmp_path / 'voc'
    shutil.copytree(tiny_voc, root)
    # two images of each class are no group of four
    tags = ''.join(f'tiny_{i} {i % 2}\n' for i in range(8))
    (root / 'ImageSets/train_cls.txt').write_text(tags)
    shutil.rmtree(root / 'SegmentationClass')  # not wanted
    monkeypatch.setenv('DATA_ROOT', str(root))
    path, work = config(tmp_path, warmup=2), tmp_path / 'work'
    call_tool('train', path, '--work-dir', work, '--cfg-options',
              'train_cfg.max_iters=6', 'param_scheduler.0.end=2',
              'param_scheduler.1.begin=2', 'param_scheduler.1.end=6',
              'default_hooks.logger.interval=1',
              'default_hooks.checkpoint.interval=6',
              'train_dataloader.batch_size=8',
              'train_dataloader.num_workers=0',
              'train_dataloader.persistent_workers=False')
    out = capsys.readouterr().out
    log, = work.rglob('*.log')
    text = log.read_text()
    ce = [float(x) for x in re.findall(r'decode.loss_ce: ([\d.]+)', text)]
    cam = [float(x) for x in re.findall(r'cam.loss_cam: ([\d.]+)', text)]
    assert len(cam) == 6 and len(ce) == 4 and ce[-1] < ce[0]
    assert cam[-1] < cam[0] and 'cam.loss_graph' in text
    assert f"{work / 'iter_6.pth'}" in out
    # what mmseg makes of the checkpoint
    net = init_model(str(work / 'small.py'), str(work / 'iter_6.pth'), 'cpu')
    assert net.dataset_meta['classes'] == ('background', *VOC_CLASSES)
    assert net.decode_head.num_classes == len(net.dataset_meta['palette'])
    assert int(net.seen_batches) == 6
    assert not any(p.requires_grad for p in net.backbone.parameters())
