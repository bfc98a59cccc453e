# Copyright (c) group_wsss contributors. All rights reserved.
"""Own images, from folders to a segmentor, without any Python."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from group_wsss.structures.palette import bright_palette

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
STAGE1 = CONFIGS / 'group_wsss/custom.py'
STAGE2 = CONFIGS / 'segformer/segformer_effnet-lite0_custom.py'
# no weights, no workers, small pictures, two iterations
NO_WEIGHTS = 'model.backbone.backbone.weights=None'
SHORT = [
    NO_WEIGHTS, 'train_cfg.max_iters=2',
    'default_hooks.checkpoint.interval=2', 'default_hooks.logger.interval=1',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False'
]  # yapf: disable
NO_WORKERS = [
    'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False'
]
SMALL1 = SHORT + NO_WORKERS + [
    'train_dataloader.batch_size=4', 'test_dataloader.dataset.group_size=2',
    'train_dataloader.dataset.pipeline.1.scale=(64,64)',
    'test_dataloader.dataset.dataset.pipeline.1.scale=(64,64)'
]
SMALL2 = SHORT + [
    'model.data_preprocessor.size=(64,64)', 'train_dataloader.batch_size=2',
    'train_dataloader.dataset.pipeline.2.scale=(64,64)'
]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Three class folders; blanks in names, three kinds of files."""
    rng = np.random.default_rng(0)
    for number in range(12):
        folder = ('wet dog', 'cat', 'é')[number % 3]
        suffix = ('jpg', 'png', 'JPEG')[number % 3]
        path = tmp_path / f'my photos/{folder}/in/no {number}.{suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (40, 48 + number, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    both = tmp_path / 'my photos/cat/in/no 0.jpg'
    both.symlink_to(tmp_path / 'my photos/wet dog/in/no 0.jpg')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('DATA_ROOT', 'my photos')
    monkeypatch.setenv('TRAIN_LIST', 'tags.json')
    return tmp_path / 'my photos'


@pytest.mark.slow
def test_whole_road(photos, call_tool, capsys, monkeypatch):
    pytest.importorskip('timm')
    call_tool('dataset_converters/from_folders', 'my photos', '-o',
              'my photos/tags.json')
    assert '12 images, 3 classes' in capsys.readouterr().out
    call_tool('train', STAGE1, '--work-dir', 'one', '--cfg-options', *SMALL1)
    out = capsys.readouterr().out
    assert 'segformer_effnet-lite0_custom.py' in out.split('Next:')[1]
    names = ['background', 'cat', 'wet dog', 'é']
    manifest = json.loads(Path('one/pseudo_labels/manifest.json').read_text())
    assert manifest['classes'] == names and manifest['images'] == 12
    weight = torch.load('one/iter_2.pth', weights_only=False)['state_dict']
    assert weight['head.classifier.weight'].shape[0] == 3
    label = Image.open('one/pseudo_labels/in/no 0.png')
    assert label.size == (48, 40)
    assert set(np.unique(label)) <= {0, 1, 2, 255}

    monkeypatch.setenv('PSEUDO_DIR', 'one/pseudo_labels')
    call_tool('train', STAGE2, '--work-dir', 'two', '--cfg-options', *SMALL2)
    out = capsys.readouterr().out
    assert 'Iter(train) [2/2]' in out and 'mIoU' not in out
    checkpoint = torch.load('two/iter_2.pth', weights_only=False)
    weight = checkpoint['state_dict']['decode_head.conv_seg.weight']
    assert weight.shape[0] == 4
    # what mmseg's inference reads
    meta = checkpoint['meta']['dataset_meta']
    assert list(meta['classes']) == names
    assert meta['palette'] == bright_palette()[:4].tolist()

    # with masks it is measured: here against the labels themselves
    monkeypatch.setenv('VAL_LIST', 'tags.json')
    monkeypatch.setenv('MASK_DIR', str(Path('one/pseudo_labels').absolute()))
    call_tool('test', STAGE2, 'two/iter_2.pth', '--work-dir', 'three',
              '--cfg-options', NO_WEIGHTS, *NO_WORKERS)
    out = capsys.readouterr().out
    assert 'wet dog' in out and 'mIoU' in out


def test_what_goes_wrong(photos, call_tool, refuse, monkeypatch):
    assert refuse(
        'train', STAGE1).startswith('error: my photos/tags.json: no such file')
    call_tool('dataset_converters/from_folders', 'my photos', '-o',
              'my photos/tags.json')
    text = refuse('train', STAGE1, '--cfg-options', 'model.head.num_classes=7')
    assert text.startswith('error: model.head.num_classes is 7, but the data')
    assert text.endswith('names 3 classes')
    (photos / 'tags.txt').write_text('a 1\n')
    monkeypatch.setenv('TRAIN_LIST', 'tags.txt')
    assert refuse(
        'train',
        STAGE1) == ('error: my photos/tags.txt carries no class names: set '
                    'metainfo.classes')
    Path('dump').mkdir()
    monkeypatch.setenv('PSEUDO_DIR', 'dump')
    assert refuse('train', STAGE2).endswith(
        'dump/manifest.json: no such file: a finished dump of stage 1 has it')
