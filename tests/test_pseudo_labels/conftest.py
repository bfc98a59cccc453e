# Copyright (c) group_wsss contributors. All rights reserved.
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from group_wsss.registry import MODELS

STAGE1 = Path(__file__).resolve().parents[1] / 'configs/tiny_group_cam.py'


@pytest.fixture(scope='session')
def stage1(tmp_path_factory):
    """Config, checkpoint and the network itself, which has seen nothing."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        net = MODELS.build(Config.fromfile(STAGE1).model).eval()
    path = tmp_path_factory.mktemp('stage1') / 'net.pth'
    torch.save(dict(state_dict=net.state_dict()), path)
    return str(STAGE1), str(path), net
