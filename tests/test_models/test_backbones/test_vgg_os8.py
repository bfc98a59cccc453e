# Copyright (c) group_wsss contributors. All rights reserved.
from itertools import islice

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmpretrain.models.backbones import VGG


def test_against_plain_layers():
    net = MODELS.build(dict(type='group_wsss.VGGOS8', depth=11))
    x = torch.randn(1, 3, 33, 40)
    out, = net(x)
    convs = iter(m for m in net.modules() if isinstance(m, nn.Conv2d))
    pools = [(2, 2), (2, 2), (2, 2), (3, 1, 1), (1, )]
    for stage, count in enumerate((1, 1, 2, 2, 2)):
        dilation = 2 if stage == 4 else 1
        for conv in islice(convs, count):
            x = F.conv2d(
                x, conv.weight, conv.bias, padding=dilation,
                dilation=dilation).relu()
        x = F.max_pool2d(x, *pools[stage])
    torch.testing.assert_close(out, x)
    assert out.shape == (1, 512, 4, 5)


def test_weights_of_mmpretrain_fit():
    net = MODELS.build(dict(type='group_wsss.VGGOS8'))
    theirs = VGG(16, num_classes=10).state_dict()
    missing, unexpected = net.load_state_dict(theirs, strict=False)
    assert not missing
    assert all(name.startswith('classifier') for name in unexpected)
