# Copyright (c) group_wsss contributors. All rights reserved.
"""Operations and memory of a training step at full size, on paper.

The networks of the shipped configs make a step with tensors that have shapes
and no numbers: operations are counted, and bytes that wait for the backward
pass. Nothing is timed, and no GPU is asked.
"""
import argparse
import json
import os.path as osp
from typing import Any, Dict, List

import torch
from group_size import ROOT, git
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from group_wsss.utils import cli
from group_wsss.utils.files import atomic_write

# config, images a step, their side
ROWS = (
    ('group_wsss/voc.py', 16, 384),
    ('group_wsss/voc_r50.py', 16, 384),
    ('group_wsss/coco.py', 16, 384),
    ('deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py', 16, 512),
)
