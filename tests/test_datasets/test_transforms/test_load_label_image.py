# Copyright (c) group_wsss contributors. All rights reserved.
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from PIL import Image

from group_wsss.structures.label_image import encode_index_png
from group_wsss.utils.errors import InputError

CONFIGS = [
    path for path in sorted((Path(__file__).resolve().parents[3] /
                             'configs/_base_/datasets').glob('*_seg.py'))
    if 'LoadLabelImage' in path.read_text()  # that with tags has no labels
]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.avif'])
def test_image_turned_against_its_label(tmp_path, path, suffix):
    """All configs read alike, and refuse a label of another size."""
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright: 30 high, 20 wide
    image = Image.new('RGB', (30, 20), (200, 30, 90))
    try:
        image.save(tmp_path / f'a{suffix}', exif=exif)
    except (KeyError, ValueError):
        pytest.skip(f'this Pillow writes no {suffix}')
    info = dict(
        img_path=str(tmp_path / f'a{suffix}'),
        seg_map_path=str(tmp_path / 'a.png.label'),
        reduce_zero_label=False)
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope('mmseg'):
        load = Compose(cfg.train_pipeline[:2])
        read = Compose(cfg.test_pipeline[:1])
    # by the name that mmseg's inferencer looks for
    assert cfg.test_pipeline[0].type == 'LoadImageFromFile'
    assert read(dict(info))['img'].shape == (30, 20, 3)
    label = np.full((30, 20), 1, np.uint8)
    (tmp_path / 'a.png.label').write_bytes(encode_index_png(label))
    results = load(dict(info, seg_fields=[]))
    assert results['img'].shape == (30, 20, 3)
    np.testing.assert_array_equal(results['gt_seg_map'], label)
    (tmp_path / 'a.png.label').write_bytes(encode_index_png(label.T))
    with pytest.raises(
            InputError,
            match=rf'a{suffix}: \(30, 20\) .*label has \(20, 30\)'):
        load(dict(info, seg_fields=[]))
