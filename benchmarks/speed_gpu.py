# Copyright (c) group_wsss contributors. All rights reserved.
"""Training steps on a GPU; a function for each kind of row of gpu.py.

Weights are random, since times and bytes do not depend on them.
"""
import copy
import os.path as osp
import time
from typing import Any, Callable, Dict, NamedTuple, Tuple

import speed_epoch
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from peer import peer_loss, peer_maps
from results import ROOT
from speed_common import (paired, peak_bytes, ratio, seconds, settled,
                          without_weights)
from speed_step import BACKBONES, samples_of
from speed_step import step as slow_step
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from group_wsss.models.utils import multi_hot
from group_wsss.registry import MODELS

Found = Dict[str, Any]
Call = Callable[[], Any]
CONFIGS = {
    'VGG16': 'group_wsss/voc.py',
    'ResNet-50': 'group_wsss/voc_r50.py',
    'Lite0': 'group_wsss/effnet-lite0_voc-layout.py',
}


class Sizes(NamedTuple):
    """Images of a step against the peer, ``many`` of one with the groups of
    ``group_sizes``; batches that the loader gives."""
    side: int = 448
    images: int = 24
    many: int = 64
    group_sizes: Tuple[int, ...] = (4, 16, 64)
    repeats: int = 5
    warmup: int = 2
    workers: int = 16
    batches: int = 40

    def pixels(self, number: int, device: str) -> torch.Tensor:
        """Give normalised images, channels last."""
        images = torch.randn(number, 3, self.side, self.side)
        return images.to(device, memory_format=torch.channels_last)


TINY = Sizes(32, 3, 4, (2, 4), 1, 0, 2, 2)


def released(name: str, device: str) -> nn.Module:
    """Give the algorithm of configs/group_wsss/reference.py, channels last."""
    model = speed_epoch.build(BACKBONES[name], False, num_convs=3)
    return model.to(device, memory_format=torch.channels_last)


def shipped(name: str, device: str) -> nn.Module:
    """Give a model as after many steps of training, channels last."""
    init_default_scope('group_wsss')
    cfg = Config.fromfile(osp.join(ROOT, 'configs', CONFIGS[name])).model
    model = settled(MODELS.build(without_weights(cfg)))
    return model.to(device, memory_format=torch.channels_last)


def step(model: nn.Module,
         images: torch.Tensor,
         group_size: int,
         bfloat16: bool = True) -> Call:
    """Give a training step of ours."""
    optimizer = torch.optim.SGD(model.parameters(), 1e-6)
    return slow_step(model, images, optimizer, group_size, bfloat16)


def peer_step(model: nn.Module, images: torch.Tensor, tf32: bool) -> Call:
    """Give steps of the peer, one for each group, in float32 or TF32."""
    k = model.neck.group_size
    optimizer = torch.optim.SGD(model.parameters(), 1e-6)
    targets = multi_hot(
        samples_of(k, k), model.head.num_classes, images.device)

    def call() -> None:
        allow_tf32(tf32)
        for group in images.split(k):
            before, after = peer_maps(model, group.split(1))
            optimizer.zero_grad(set_to_none=True)
            peer_loss(model, before, after, targets).backward()
            optimizer.step()
        allow_tf32(False)

    return call


def allow_tf32(allowed: bool) -> None:
    """Let the matrix units round float32, or not."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def train(name: str, sizes: Sizes, device: str) -> Found:
    """Measure the released algorithm, ours against the plain one."""
    allow_tf32(False)
    images, model = sizes.pixels(sizes.images, device), released(name, device)
    plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    k = model.neck.group_size
    calls = {
        'ours': step(model, images, k),
        'ours in fp32': step(copy.deepcopy(model), images, k, False),
        'peer in fp32': peer_step(plain, images.contiguous(), False),
        'peer in TF32': peer_step(plain, images.contiguous(), True),
    }
    times = paired(calls, sizes.repeats, device, sizes.warmup)
    found: Found = {}
    for key, call in calls.items():
        found[f'{key}, images a second'] = sizes.images / seconds(times[key])
        found[f'{key}, peak GiB'] = peak_bytes(call, device) / 2**30
        if key != 'ours':
            found[f'faster than {key} by'] = ratio(times[key], times['ours'])
    return dict(found, times=times)


def compiled(name: str, sizes: Sizes, device: str) -> Found:
    """Measure what compiling the backbone adds."""
    images, model = sizes.pixels(sizes.images, device), released(name, device)
    other, k = copy.deepcopy(model), model.neck.group_size
    # a CPU may come without a compiler
    other.backbone = torch.compile(
        other.backbone,
        dynamic=False,
        backend='aot_eager' if device == 'cpu' else 'inductor')
    calls = dict(ours=step(model, images, k), compiled=step(other, images, k))
    start = time.perf_counter()
    calls['compiled']()
    first = time.perf_counter() - start
    times = paired(calls, sizes.repeats, device, sizes.warmup)
    return {
        'images a second': sizes.images / seconds(times['compiled']),
        'faster by': ratio(times['ours'], times['compiled']),
        'first step, s': first,
        'times': times
    }


def watch(call: Call, device: str) -> profile:
    """Profile a second call, as the range ``watched``."""
    call()
    kinds = [ProfilerActivity.CPU]
    kinds += [] if device == 'cpu' else [ProfilerActivity.CUDA]
    with profile(activities=kinds) as done:
        with record_function('watched'):
            call()
        if device != 'cpu':
            torch.cuda.synchronize()
    return done


def kernel_seconds(call: Call, device: str) -> float:
    """Seconds of all kernels of a call; on a CPU of all operators."""
    done = watch(call, device)
    if device == 'cpu':
        return sum(e.self_cpu_time_total for e in done.key_averages()) / 1e6
    # ranges have a duration on the GPU too
    return sum(e.time_range.elapsed_us() for e in done.events()
               if e.device_type == DeviceType.CUDA and not e.name.startswith(
                   ('Optimizer.', 'watched'))) / 1e6


def kernels(name: str, sizes: Sizes, device: str) -> Found:
    """Measure how much of a step is spent in kernels of the backbone."""
    images, model = sizes.pixels(sizes.images, device), released(name, device)

    def alone() -> None:
        with torch.autocast(images.device.type, torch.bfloat16):
            model.backbone(images)[-1].square().mean().backward()

    whole = kernel_seconds(step(model, images, model.neck.group_size), device)
    return {
        'of the backbone, % of all':
        100 * kernel_seconds(alone, device) / whole,
        'all, ms': 1000 * whole
    }


def groups(name: str, k: int, sizes: Sizes, device: str) -> Found:
    """Measure the share of group reasoning in a step of a shipped model."""
    images, model = sizes.pixels(sizes.many, device), shipped(name, device)
    calls = {'K=1': step(model, images, 1), 'K': step(model, images, k)}
    times = paired(calls, sizes.repeats, device, sizes.warmup)
    return {
        'group reasoning, % of a step':
        100 - 100 * ratio(times['K=1'], times['K']),
        'images a second': sizes.many / seconds(times['K']),
        'peak GiB': peak_bytes(calls['K'], device) / 2**30,
        'times': times
    }
