# Copyright (c) group_wsss contributors. All rights reserved.
"""A training step of groups against the same backbone as plain classifier."""
import argparse
import os.path as osp
from typing import Callable, Dict, List

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample
from results import ROOT
from speed_common import (paired, peak_bytes, ratio, seconds, settled,
                          without_weights)
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
# the paper's graph, the dearest
PAPER = dict(
    channels=64,
    num_steps=3,
    update='gru',
    coattention=dict(normalize=True, scale=10.0),
    dropout=dict(type='group_wsss.GraphDropout'))

# keys that learn, as the configs with a frozen backbone have them
CONTRAST = dict(
    num_steps=1,
    update='mix',
    dropout=None,
    coattention=dict(
        key='contrast',
        key_channels=64,
        normalize=True,
        scale=15.0,
        softmax='group',
        gate=False))


def build(name: str, **neck) -> nn.Module:
    """A model of ``configs/_base_/models`` with changes to its neck."""
    init_default_scope('group_wsss')
    path = osp.join(ROOT, 'configs', '_base_', 'models', f'{name}.py')
    cfg = without_weights(Config.fromfile(path).model)
    # `update` of a ConfigDict would merge the dicts inside
    cfg.neck = {**cfg.neck.to_dict(), **neck}
    return settled(MODELS.build(cfg))


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
    sizes = [(title, 384) for title in BACKBONES]
    if args.full:
        sizes.append(('VGG16', 448))
    rows = []
    for title, side in sizes:
        rows.append(measure_row(title, BACKBONES[title], side, IMAGES, args))
        print(title, side, f'{rows[-1]["time, K=4 / K=1"]:.2f}', flush=True)
    return rows


def measure_row(title: str, name: str, side: int, images: int,
                args: argparse.Namespace) -> dict:
    """All variants of one backbone on the same images."""
    batch = torch.randn(images, 3, side, side).to(args.device)
    shipped, contrast, paper = (
        build(name, **neck).to(args.device) for neck in ({}, CONTRAST, PAPER))
    calls = {}
    for key, model, size in (('K=1', shipped, 1), ('K=4', shipped, 4),
                             ('contrast', contrast, 4), ('paper', paper, 4)):
        calls[key] = step(model, batch,
                          torch.optim.SGD(model.parameters(), 1e-6), size)
    times = paired(calls, args.repeats, args.device)
    peak = {}
    for key, call in calls.items():
        call()  # there are gradients, as after any step
        peak[key] = peak_bytes(call, args.device)
    return {
        'backbone': title,
        'pixels': side,
        'images': images,
        'K=1 ms': 1000 * seconds(times['K=1']),
        'time, K=4 / K=1': ratio(times['K=4'], times['K=1']),
        'memory, K=4 / K=1': peak['K=4'] / peak['K=1'],
        'time, keys that learn': ratio(times['contrast'], times['K=1']),
        'memory, keys that learn': peak['contrast'] / peak['K=1'],
        "time, the paper's graph": ratio(times['paper'], times['K=1']),
        "memory, the paper's graph": peak['paper'] / peak['K=1'],
        'times': times,
        'peak_bytes': peak
    }
