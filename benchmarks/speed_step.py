# Copyright (c) group_wsss contributors. All rights reserved.
"""A training step of groups against the same backbone as plain classifier."""
import argparse
import os.path as osp
from typing import Callable, Dict, List, Optional

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample
from speed_common import ROOT, paired, peak_bytes, ratio, seconds
from torch import nn

from group_wsss.registry import MODELS

REPEATS = 3
IMAGES = 4
# name -> model of configs/_base_/models
BACKBONES: Dict[str, str] = {
    'EfficientNet-Lite0': 'group_cam_effnet-lite0',
    'ResNet-50': 'group_cam_r50',
    'VGG16': 'group_cam_vgg16-os8',
}
# the paper's graph, the dearest; configs have one round of whitened keys
PAPER = dict(
    channels=64,
    num_steps=3,
    update='gru',
    coattention=dict(normalize=True, scale=10.0),
    dropout=dict(type='group_wsss.GraphDropout'))
# nodes as wide as this, and tokens on such a grid, beside what configs have
WIDE, POOL_SIZE = 256, 8


def build(name: str,
          group_size: int,
          pool_size: Optional[int] = None,
          **neck) -> nn.Module:
    """A model of the shipped configs without its weights.

    Args:
        name (str): File in ``configs/_base_/models``.
        group_size (int): K; 1 is the plain classifier.
        pool_size (int, optional): Of ``CoAttention``.
        **neck: Changes to the neck.

    Returns:
        nn.Module: In training mode.
    """
    init_default_scope('group_wsss')
    path = osp.join(ROOT, 'configs', '_base_', 'models', f'{name}.py')
    cfg = Config.fromfile(path).model
    if 'weights' in cfg.backbone:
        cfg.backbone.weights = None
    cfg.backbone.init_cfg = None
    # `update` of a ConfigDict would merge the dicts inside
    cfg.neck = {**cfg.neck.to_dict(), **PAPER, **neck}
    if pool_size is not None:
        cfg.neck.coattention.pool_size = pool_size
    if group_size == 1:
        cfg.neck = None
    model = MODELS.build(cfg)
    model.init_weights()
    return model.train()


def samples_of(number: int, group_size: int) -> List[DataSample]:
    """Labels of made-up images: two classes each, one for all."""
    return [
        DataSample(metainfo=dict(group_slot=i % group_size)).set_gt_label(
            [0, 1 + i % 19]) for i in range(number)
    ]


def step(model: nn.Module,
         images: torch.Tensor,
         optimizer: torch.optim.Optimizer,
         group_size: int = 4,
         bfloat16: bool = False) -> Callable[[], None]:
    """Loss, gradients and update."""
    device = images.device
    samples = [x.to(device) for x in samples_of(len(images), group_size)]

    def call() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            losses = model(images, samples, mode='loss')
        optimizer.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        optimizer.step()

    return call


def measure(args: argparse.Namespace) -> list:
    """One row for each backbone and size."""
    rows = []
    for side in (224, 448) if args.full else (224, ):
        for title, name in BACKBONES.items():
            rows.append(measure_row(title, name, side, IMAGES, args))
            print(
                title, side, f'{rows[-1]["time, K=4 / K=1"]:.2f}', flush=True)
    return rows


def measure_row(title: str, name: str, side: int, images: int,
                args: argparse.Namespace) -> dict:
    """All variants of one backbone on the same images."""
    batch = torch.randn(images, 3, side, side).to(args.device)
    models = {
        'K=1': build(name, 1),
        'K=4': build(name, 4),
        'wide': build(name, 4, channels=WIDE),
        'pooled': build(name, 4, POOL_SIZE),
        'checkpointed': build(name, 4, with_cp=True),
    }
    calls = {}
    for key, model in models.items():
        model = model.to(args.device)
        calls[key] = step(model, batch,
                          torch.optim.SGD(model.parameters(), 1e-6),
                          1 if key == 'K=1' else 4)
    times = paired(calls, args.repeats, args.device)
    peak = {key: peak_bytes(call, args.device) for key, call in calls.items()}
    return {
        'backbone': title,
        'pixels': side,
        'images': images,
        'K=1 ms': 1000 * seconds(times['K=1']),
        'time, K=4 / K=1': ratio(times['K=4'], times['K=1']),
        'memory, K=4 / K=1': peak['K=4'] / peak['K=1'],
        f'time, nodes of {WIDE} channels': ratio(times['wide'], times['K=1']),
        f'memory, {WIDE} channels': peak['wide'] / peak['K=1'],
        f'time, {POOL_SIZE**2} tokens': ratio(times['pooled'], times['K=1']),
        f'memory, {POOL_SIZE**2} tokens': peak['pooled'] / peak['K=1'],
        'time, checkpointed': ratio(times['checkpointed'], times['K=1']),
        'memory, checkpointed': peak['checkpointed'] / peak['K=1'],
        'times': times,
        'peak_bytes': peak
    }
