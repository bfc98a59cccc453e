# Copyright (c) group_wsss contributors. All rights reserved.
"""Operations and memory of a training step at full size, on paper.

The networks of the shipped configs make a step on tensors that have shapes
and no numbers: operations are counted, and the bytes that wait for the
backward pass. Nothing is timed, and no GPU is asked.
"""
import argparse
import json
import os.path as osp
from typing import Any, Dict

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample
from results import ROOT, commit, write
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from group_wsss.utils import cli

GROUP = 4
# config -> images of all its training, those of the groups included; images
# a step; their side
ROWS = {
    'group_wsss/voc.py': (15 * GROUP * 10582, 16, 384),
    'group_wsss/voc_r50.py': (15 * GROUP * 10582, 16, 384),
    'group_wsss/coco.py': (15 * GROUP * 82081, 16, 384),
    'deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12-pseudo-512x512.py':
    (20000 * 16, 16, 512),
}
# weight, gradient and momentum
BYTES = 12
# operations a second that a GPU sustains: the reader knows his
RATES = (1e13, 1e14)


def imagine(model: nn.Module, mode: FakeTensorMode) -> None:
    """Take the numbers out of a model."""
    for module in model.modules():
        for key, value in module._parameters.items():
            if value is not None:
                module._parameters[key] = nn.Parameter(
                    mode.from_tensor(value.data))
        for key, value in module._buffers.items():
            if value is not None:
                module._buffers[key] = mode.from_tensor(value)
    white = getattr(getattr(model, 'neck', None), 'coattention', None)
    if white is not None:  # its statistics ask for numbers
        white = white.whiten
        white.update = lambda x, valid: None
        for name, value in (('count', 1.), ('fitted', 1.)):
            del white._buffers[name]
            setattr(white, name, value)


def outputs(model: nn.Module, inputs: torch.Tensor) -> Any:
    """What losses read: maps of a classifier, logits of a segmentor."""
    if hasattr(model, 'decode_head'):
        feats = model.extract_feat(inputs)
        return model.decode_head(feats), model.auxiliary_head(feats)
    samples = [DataSample() for _ in inputs]
    for slot, sample in enumerate(samples):
        sample.set_metainfo(dict(group_slot=slot % GROUP))
    return model(inputs, samples, mode='tensor')


def count(name: str) -> Dict[str, Any]:
    """Figures of an image and of the training of a config."""
    images, batch, side = ROWS[name]
    cfg = Config.fromfile(osp.join(ROOT, 'configs', name))
    model_cfg = cfg.model
    model_cfg.backbone.init_cfg = model_cfg.pretrained = None
    if 'decode_head' not in model_cfg:
        del model_cfg['pretrained']
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = revert_sync_batchnorm(MODELS.build(model_cfg))
    model.train()
    weights = sum(p.numel() for p in model.parameters())
    waiting: Dict[int, int] = {}

    def wait(tensor: torch.Tensor) -> torch.Tensor:
        store = tensor.untyped_storage()
        waiting[store._cdata] = store.nbytes()
        return tensor

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        imagine(model, mode)
        inputs = torch.randn(GROUP, 3, side, side)
        with FlopCounterMode(display=False) as flops, saved_tensors_hooks(
                wait, lambda tensor: tensor):
            loss = sum(map(torch.mean, outputs(model, inputs)))
            forward = flops.get_total_flops() / GROUP
            loss.backward()
    step = flops.get_total_flops() / GROUP
    saved = (sum(waiting.values()) - 4 * weights) / GROUP
    return dict(
        config=name,
        million_weights=round(weights / 1e6, 1),
        gflop_forward=round(forward / 1e9, 1),
        gflop_step=round(step / 1e9, 1),
        saved_mb=round(saved / 1e6, 1),
        step_gb=round((batch * saved + BYTES * weights) / 1e9, 2),
        images=images,
        hours={
            f'{rate / 1e12:g} TFLOP/s': round(images * step / rate / 3600, 2)
            for rate in RATES
        },
        torch=torch.__version__)


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', default='docs/benchmarks/rehearsal_cost.json')
    return parser.parse_args()


def main() -> None:
    """Count, and write the JSON."""
    args = parse_args()
    rows = [dict(count(name), commit=commit('benchmarks')) for name in ROWS]
    write(args.out, rows)
    print(json.dumps(rows, indent=1))


if __name__ == '__main__':
    cli.run(main)
