# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn as nn
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement, PixelData

from group_wsss.utils.errors import InputError


class TwoLevels(nn.Module):
    """A backbone for the tests."""

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4))
        self.two = nn.Conv2d(4, 6, 3, 2, 1, bias=False)

    def forward(self, x):
        x = self.one(x)
        return x, self.two(x)


def net(**kwargs):
    torch.manual_seed(0)
    cfg = dict(
        type='group_wsss.AffinityNet',
        backbone=TwoLevels(),
        head=dict(
            type='group_wsss.AffinityHead',
            in_channels=(4, 6),
            in_index=(0, 1),
            radius=3),
        **kwargs)
    return MODELS.build(cfg)


def batch():
    torch.manual_seed(1)
    samples = []
    for _ in range(2):
        sample = BaseDataElement()
        sample.seeds = PixelData(data=torch.randint(0, 3, (1, 16, 24)))
        samples.append(sample)
    return torch.rand(2, 3, 16, 24), samples


def test_modes():
    model = net().eval()
    inputs, samples = batch()
    embedding = model(inputs)
    assert embedding.shape == (2, 64, 8, 12)
    one, two = model(inputs, mode='predict')
    torch.testing.assert_close(torch.stack([one, two]), embedding)
    losses = model(inputs, samples, mode='loss')
    want = model.head.loss(
        model.backbone(inputs), inputs,
        torch.cat([s.seeds.data for s in samples]))
    torch.testing.assert_close(losses, want)
    with pytest.raises(InputError, match="mode of AffinityNet is 'label'"):
        model(inputs, mode='label')


@pytest.mark.parametrize('frozen', [True, False])
def test_frozen_backbone(frozen):
    model = net(freeze_backbone=frozen).train()
    inputs, samples = batch()
    state = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=1.)
    sum(model(inputs, samples, mode='loss').values()).backward()
    optimizer.step()
    same = [
        torch.equal(v, state[k])
        for k, v in model.backbone.state_dict().items()
    ]
    assert all(same) if frozen else not any(same)
    assert model.backbone.training != frozen and model.head.training
    assert model.head.mix[0].weight.grad.abs().sum() > 0


def test_refused():
    inputs, samples = batch()
    del samples[1].seeds
    for given in (None, [], samples):
        with pytest.raises(InputError, match='no seeds.*LoadSeeds'):
            net()(inputs, given, mode='loss')
    model = net()
    model.head.in_index = (0, 2)
    with pytest.raises(InputError, match='TwoLevels gives 2 levels.* 2'):
        model(inputs)
