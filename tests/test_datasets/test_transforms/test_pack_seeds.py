# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import torch

from group_wsss.registry import TRANSFORMS


def test_packed():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    seeds = rng.integers(0, 256, (4, 5), dtype=np.uint8)
    transform = TRANSFORMS.build(dict(type='group_wsss.PackSeeds'))
    # as a flip leaves them
    out = transform(
        dict(
            img=image[:, ::-1],
            gt_seg_map=seeds[:, ::-1],
            img_id='x',
            flip=True,
            seg_fields=['gt_seg_map']))
    want = torch.from_numpy(image[:, ::-1].copy()).permute(2, 0, 1)
    assert torch.equal(out['inputs'], want)
    sample = out['data_samples']
    assert sample.seeds.data.dtype == torch.long
    assert sample.seeds.data[0].tolist() == seeds[:, ::-1].tolist()
    assert sample.metainfo == dict(img_id='x', flip=True)
    # where masks travel there is nothing
    for name in ('gt_seg_map', 'gt_sem_seg', 'seg_map_path'):
        assert name not in sample and name not in out
