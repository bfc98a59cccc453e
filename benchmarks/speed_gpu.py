# Copyright (c) group_wsss contributors. All rights reserved.
"""Training and dumping on a GPU: ours in bf16, channels last, against fp32."""
import argparse
import tempfile
from typing import Callable, List, Sequence

import torch
from peer import peer_loss, peer_maps
from speed_common import paired, peak_bytes, ratio, seconds
from speed_dump import THRESHOLD
from speed_step import BACKBONES, build, samples_of
from torch import nn

from group_wsss.datasets import VOC_CLASSES
from group_wsss.models.utils import multi_hot
from group_wsss.pseudo_labels import LabelDump
from group_wsss.pseudo_labels.labelers import ThresholdLabeler
from group_wsss.structures import DumpWriter, ScoreMap
from group_wsss.utils.errors import InputError

REPEATS = 10
NAMES = ('VGG16', 'ResNet-50')
SIDE, IMAGES, GROUP_SIZE = 448, 16, 4


def train(model: nn.Module, images: torch.Tensor,
          dtype: torch.dtype) -> Callable[[], None]:
    """A step of ours under autocast."""
    optimizer = torch.optim.SGD(model.parameters(), 1e-6)
    samples = samples_of(len(images), GROUP_SIZE)

    def call() -> None:
        with torch.autocast(images.device.type, dtype):
            losses = model(images, samples, mode='loss')
        optimizer.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        optimizer.step()

    return call


def peer_train(model: nn.Module, images: torch.Tensor) -> Callable[[], None]:
    """Steps of the peer, one for each group, in fp32."""
    optimizer = torch.optim.SGD(model.parameters(), 1e-6)
    targets = multi_hot(
        samples_of(GROUP_SIZE, GROUP_SIZE), model.head.num_classes,
        images.device)

    def call() -> None:
        for group in images.split(GROUP_SIZE):
            before, after = peer_maps(model, group.split(1))
            optimizer.zero_grad(set_to_none=True)
            peer_loss(model, before, after, targets).backward()
            optimizer.step()

    return call


def dump(model: nn.Module, images: torch.Tensor,
         folder: str) -> Callable[[], None]:
    """Predict whole groups and write a label for every image."""

    def call() -> None:
        writer = DumpWriter(folder, VOC_CLASSES)
        labels = LabelDump(writer, ThresholdLabeler(THRESHOLD))
        samples = samples_of(len(images), GROUP_SIZE)
        model.eval()
        with torch.inference_mode(), torch.autocast(images.device.type,
                                                    torch.bfloat16):
            done = model(images, samples, mode='predict')
        model.train()
        for i, sample in enumerate(done):
            sample.set_metainfo(
                dict(img_id=f'image_{i}', ori_shape=images.shape[2:]))
            labels.take(ScoreMap.from_sample(sample))

    return call


def measure(args: argparse.Namespace,
            names: Sequence[str] = NAMES,
            side: int = SIDE,
            images: int = IMAGES) -> List[dict]:
    """A row for each backbone and way of sending messages."""
    if args.device == 'cpu' and side == SIDE:
        raise InputError('--device cpu: this table needs --device cuda')
    # the peer's fp32 is that of the released code's day
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    rows = []
    for name in names:
        for pool_size in (None, 16):
            rows.append(measure_row(name, pool_size, side, images, args))
    return rows


def measure_row(name: str, pool_size, side: int, images: int,
                args: argparse.Namespace) -> dict:
    """One backbone."""
    device = args.device
    batch = torch.randn(images, 3, side, side).to(device)
    fast = batch.to(memory_format=torch.channels_last)

    def placed(group_size: int) -> nn.Module:
        model = build(BACKBONES[name], group_size, pool_size)
        return model.to(device).to(memory_format=torch.channels_last)

    # the peer's sums over positions are those without pooling
    peer = build(BACKBONES[name], GROUP_SIZE).to(device)
    model, plain = placed(GROUP_SIZE), placed(1)
    calls = {
        'ours': train(model, fast, torch.bfloat16),
        'K=1': train(plain, fast, torch.bfloat16),
        'peer': peer_train(peer, batch),
    }
    if device != 'cpu':
        compiled = placed(GROUP_SIZE)
        compiled.backbone = torch.compile(compiled.backbone, dynamic=False)
        calls['compiled'] = train(compiled, fast, torch.bfloat16)
    times = paired(calls, args.repeats, device, warmup=3)
    peak = {key: peak_bytes(call, device) for key, call in calls.items()}
    with tempfile.TemporaryDirectory() as folder:
        written = paired({'dump': dump(plain, fast, folder)}, args.repeats,
                         device)['dump']
    ours, extra = seconds(times['ours']), {}
    if 'compiled' in times:
        extra = {
            'compiled backbone / peer': ratio(times['peer'], times['compiled'])
        }
    return {
        'backbone': name,
        'tokens a sender': pool_size**2 if pool_size else 'all positions',
        'ours, images a second': images / ours,
        'peer': images / seconds(times['peer']),
        'ours is faster by': ratio(times['peer'], times['ours']),
        **extra, 'peak GiB, ours': peak['ours'] / 2**30,
        'peak GiB, peer': peak['peer'] / 2**30,
        'share of group reasoning': 1 - ratio(times['K=1'], times['ours']),
        'labels a second': images / seconds(written),
        'times': times,
        'peak_bytes': peak
    }
