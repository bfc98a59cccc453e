# Copyright (c) group_wsss contributors. All rights reserved.
"""Images of every kind, through training and the whole test loop."""
import json
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'tests' / 'configs' / 'tiny_group_cam.py'


def texture(height, width):
    rng = np.random.default_rng(height * 1000 + width)
    rough = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
    return Image.fromarray(rough).resize((width, height), Image.BILINEAR)


def turned(orientation):

    def save(path):
        exif = Image.Exif()
        exif[0x0112] = orientation
        texture(30, 50).save(path, exif=exif)

    return save


def deep(path):
    gray = np.asarray(texture(44, 31).convert('L')).astype(np.uint16) * 257
    Image.fromarray(gray).save(path)


KINDS = {
    'gray.jpg': lambda path: texture(40, 50).convert('L').save(path),
    'gray.png': lambda path: texture(41, 50).convert('L').save(path),
    'gray_alpha.png': lambda path: texture(42, 50).convert('LA').save(path),
    'cmyk.jpg': lambda path: texture(43, 50).convert('CMYK').save(path),
    'rgba.png': lambda path: texture(45, 50).convert('RGBA').save(path),
    'deep.png': deep,
    'progressive.jpg':
    lambda path: texture(46, 50).save(path, progressive=True),
    'row.jpg': lambda path: texture(1, 50).save(path),
    'row.png': lambda path: texture(1, 17).save(path),
    'column.jpg': lambda path: texture(37, 1).save(path),
    'dot.png': lambda path: texture(1, 1).save(path),
    'wide.jpg': lambda path: texture(8, 900).save(path),
    'sub/bmp.bmp': lambda path: texture(33, 21).save(path),
    'sub/webp.webp': lambda path: texture(34, 21).save(path),
    **{
        f'turned_{i}.jpg': turned(i)
        for i in range(1, 9)
    },
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """One image of each kind and a list with their paths."""
    root = tmp_path_factory.mktemp('kinds')
    images = []
    for number, (name, save) in enumerate(KINDS.items()):
        path = root / 'JPEGImages' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path)
        images.append(
            dict(
                id=name.replace('.', '_'),
                path=name,
                labels=[number % 3, number % 3 + 1]))
    (root / 'list.json').write_text(json.dumps(dict(images=images)))
    return root


@pytest.mark.slow
@pytest.mark.parametrize('keep_ratio', [False, True])
def test_train_and_dump(keep_ratio, data, tmp_path, call_tool, monkeypatch,
                        capsys):
    monkeypatch.setenv('DATA_ROOT', str(data))
    monkeypatch.setenv('TRAIN_LIST', 'list.json')
    call_tool(
        'train', CONFIG, '--work-dir', tmp_path, '--cfg-options',
        'train_cfg.max_iters=6', 'default_hooks.checkpoint.interval=6',
        *(f'{key}.pipeline.1.keep_ratio={keep_ratio}'
          for key in ('train_dataloader.dataset',
                      'test_dataloader.dataset.dataset')))
    assert f'{len(KINDS)} label images' in capsys.readouterr().out
    load = LoadImageFromFile()
    for name in KINDS:
        label = Image.open(tmp_path / 'pseudo_labels' /
                           f'{name.replace(".", "_")}.png')
        # what mmseg's training on these labels will load
        seen = load(dict(img_path=str(data / 'JPEGImages' / name)))['img']
        assert label.mode == 'P' and label.size == seen.shape[1::-1], name
        if name.startswith('turned'):  # upright
            turn = int(name[7]) > 4
            assert label.size == ((30, 50) if turn else (50, 30))
        values = set(np.unique(np.asarray(label)).tolist())
        assert values <= {0, 1, 2, 3, 4, 255}
