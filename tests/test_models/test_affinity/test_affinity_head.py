# Copyright (c) group_wsss contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F

from group_wsss.models import AffinityHead
from group_wsss.registry import MODELS
from group_wsss.utils.errors import InputError

CFG = dict(
    type='group_wsss.AffinityHead',
    in_channels=(4, 6),
    in_index=(0, 2),
    mid_channels=5,
    channels=7)


def levels():
    torch.manual_seed(0)
    return (torch.rand(2, 4, 12, 16), torch.rand(2, 9, 6, 8),
            torch.rand(2, 6, 3, 4)), torch.rand(2, 3, 48, 64)


@pytest.mark.parametrize('grid, use_image', [(None, True), (0, False),
                                             (1, True), (2, False)])
def test_embedding_by_hand(grid, use_image):
    feats, image = levels()
    size = feats[grid or 0].shape[2:]
    head = MODELS.build(dict(CFG, grid_index=grid, use_image=use_image))
    head.train()(feats, image)  # statistics that are not 0 and 1
    head.eval()
    maps = [feats[0], feats[2]]
    maps += [F.adaptive_avg_pool2d(image, size)] * use_image
    assert len(head.reduce) == len(maps)
    parts = []
    for (norm, conv, _), x in zip(head.reduce, maps):
        mean, std = norm.running_mean, (norm.running_var + norm.eps).sqrt()
        x = F.elu(
            F.conv2d((x - mean[:, None, None]) / std[:, None, None],
                     conv.weight, conv.bias))
        if x.shape[-2] > size[0]:
            x = F.avg_pool2d(x, x.shape[-1] // size[1])
        elif x.shape[-2] < size[0]:
            x = F.interpolate(x, size=size, mode='bilinear')
        parts.append(x)
    conv = head.mix[0]
    want = F.elu(F.conv2d(torch.cat(parts, 1), conv.weight, conv.bias))
    got = head(feats, image)
    assert got.shape == (2, 7, *size)
    torch.testing.assert_close(got, want)


def test_seeds_are_taken_at_the_centre_of_a_cell():
    feats, image = levels()
    head = MODELS.build(dict(CFG, grid_index=2)).eval()
    seeds = torch.full((2, 48, 64), 9)  # 16 pixels a cell
    cells = torch.tensor([0, 3, 255])[torch.randint(3, (2, 3, 4))]
    seeds[:, 8::16, 8::16] = cells
    got = head.loss(feats, image, seeds)
    embedding = head(feats, image)
    want = head.loss_module(lambda o: head.log_affinity(embedding, o), cells,
                            head.offsets)
    for name, value in want.items():
        assert value > 0
        torch.testing.assert_close(got[name], value)


def test_wrong_options():
    with pytest.raises(InputError, match='in_channels .*same levels'):
        AffinityHead(in_channels=(4, 6), in_index=(0, ))
    with pytest.raises(InputError, match='radius .* is 1'):
        AffinityHead(in_channels=(4, ), in_index=(0, ), radius=1)
