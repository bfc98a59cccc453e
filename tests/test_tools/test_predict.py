# Copyright (c) group_wsss contributors. All rights reserved.
"""A trained segmentor in use: tool, Python, and mmseg's own inferencer."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from group_wsss.apis import SegmentationInferencer
from group_wsss.structures.label_image import read_index_png
from group_wsss.utils.errors import InputError
from .conftest import save_weights

CONFIG = (
    Path(__file__).resolve().parents[2] /
    'configs/segformer/segformer_effnet-lite0_custom.py')
NAMES = ('background', 'cat', 'dog')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Config and checkpoint as a training on own images leaves them."""
    folder = tmp_path_factory.mktemp('trained')
    cfg = Config.fromfile(CONFIG)
    cfg.model.decode_head.num_classes = len(NAMES)
    cfg.model.backbone.backbone.weights = None
    cfg.dump(folder / 'config.py')
    save_weights(
        folder / 'config.py',
        folder / 'net.pth',
        dataset_meta=dict(classes=NAMES, palette=None))
    return str(folder / 'config.py'), str(folder / 'net.pth')


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (('a', (40, 60)), ('b b', (50, 30))):
        pixels = rng.integers(0, 255, (*shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(
            (4 * shape[1], 4 * shape[0])).save(folder / f'{name}.png')
    return folder


def test_labels_are_those_of_mmseg(trained, images):
    from mmseg.apis import MMSegInferencer
    paths = [str(path) for path in sorted(images.iterdir())]
    theirs = MMSegInferencer(*trained, device='cpu')
    ours = SegmentationInferencer(
        *map(Path, trained), 'cpu', show_progress=False)
    for mine, other in zip(
            ours(paths), theirs(paths, return_datasamples=True, show=False)):
        assert np.array_equal(mine['label'],
                              other.pred_sem_seg.data[0].cpu().numpy())
        assert sum(mine['pixels'].values()) == mine['label'].size


def test_the_tool_leaves_labels_overlays_and_counts(trained, images, tmp_path,
                                                    call_tool, capsys,
                                                    monkeypatch):
    monkeypatch.setenv('GROUP_WSSS_PROGRESS', '0')
    (images / 'c.png').write_bytes(b'no image')
    out = tmp_path / 'out'
    call_tool('predict', *trained, images, '--out', out)
    said = capsys.readouterr()
    assert 'c.png' in said.err and '2 images, 1 left out' in said.out
    assert 'Images: 3/3' in said.err
    told = json.loads((out / 'predictions.json').read_text())
    assert told['classes'] == list(NAMES)
    assert [('error' in entry)
            for entry in told['images']] == [False, False, True]
    for entry in told['images'][:2]:
        label = read_index_png(str(out / f'{entry["img_id"]}.png'))
        counts = {NAMES[v]: int((label == v).sum()) for v in np.unique(label)}
        assert counts == entry['pixels']
        overlay = Image.open(out / 'overlays' / f'{entry["img_id"]}.jpg')
        # a legend below
        assert overlay.size[0] == max(label.shape[1], 240)
        assert overlay.size[1] > label.shape[0]


def test_nothing_is_replaced(trained, images, tmp_path):
    net = SegmentationInferencer(*trained, 'cpu', show_progress=False)
    net(images / 'a.png', out_dir=str(tmp_path / 'out'))
    with pytest.raises(InputError, match='predictions of an earlier call'):
        net(images / 'a.png', out_dir=str(tmp_path / 'out'))
    with pytest.raises(InputError, match='label would replace'):
        net(images / 'a.png', out_dir=str(images))


@pytest.mark.skipif(torch.cuda.is_available(), reason='has a GPU')
def test_a_device_that_is_not_there(trained):
    with pytest.raises(InputError, match="device 'cuda'"):
        SegmentationInferencer(*trained, 'cuda')
