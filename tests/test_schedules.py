# Copyright (c) group_wsss contributors. All rights reserved.
"""The published learning rates: 1x, 2x, 10x, 20x by kind of parameter."""
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from group_wsss.registry import MODELS

SCHEDULES = Path(__file__).resolve().parents[1] / 'configs/_base_/schedules'


def test_paper_learning_rates():
    cfg = Config.fromfile(SCHEDULES / 'schedule_15e_sgd.py')
    model = nn.Module()
    model.backbone = nn.Sequential(nn.Conv2d(3, 8, 3))
    # EfficientNets have a layer of this name in the backbone
    model.backbone.conv_head = nn.Conv2d(8, 8, 1)
    model.neck = MODELS.build(
        dict(
            type='group_wsss.CoAttentionGNN',
            in_channels=8,
            group_size=3,
            projection=dict(num_convs=3, channels=8),
            aggregation='concat'))
    model.head = MODELS.build(
        dict(type='group_wsss.GroupCAMHead', in_channels=8, num_classes=20))
    optim = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    rates = {id(g['params'][0]): g['lr'] for g in optim.param_groups}
    seen = set()
    for name, parameter in model.named_parameters():
        new = not name.startswith('backbone.')
        wanted = 1e-3 * (10 if new else 1) * (2 if 'bias' in name else 1)
        if 'conv_head' in name:
            wanted = 1e-3
        assert rates[id(parameter)] == pytest.approx(wanted), name
        seen.add(round(wanted * 1e3))
    assert seen == {1, 2, 10, 20}
    group = optim.param_groups[0]
    assert (group['momentum'], group['nesterov'],
            group['weight_decay']) == (0.9, True, 5e-4)
