# Copyright (c) group_wsss contributors. All rights reserved.
import torch
from mmpretrain.structures import DataSample

from group_wsss.models.utils import record_sizes, valid_positions


def test_sizes_of_padded_images():
    """A cell that holds a row of the image belongs to it."""
    inputs, feats = torch.zeros(3, 3, 20, 24), [torch.zeros(3, 2, 5, 6)]
    shapes = [(20, 24), (13, 17), (1, 4)]
    samples = [
        DataSample(metainfo=dict(valid_shape=shape)) for shape in shapes
    ]
    record_sizes(inputs, feats, samples)
    assert [sample.map_shape for sample in samples] == [(5, 6), (4, 5), (1, 1)]
    valid = valid_positions(samples, feats[0])
    for one, (h, w) in zip(valid, [(5, 6), (4, 5), (1, 1)]):
        for i in range(5):
            for j in range(6):
                assert one[i, j] == (i < h and j < w)


def test_nothing_to_note_without_padding():
    samples = [DataSample(), DataSample()]
    record_sizes(torch.zeros(2, 3, 8, 8), [torch.zeros(2, 2, 4, 4)], samples)
    assert 'map_shape' not in samples[0]
    assert valid_positions(samples, torch.zeros(2, 2, 4, 4)) is None
    # images of other sizes, each on its own
    record_sizes(
        [torch.zeros(3, 8, 8), torch.zeros(3, 4, 6)],
        [torch.zeros(1, 2, 4, 4),
         torch.zeros(1, 2, 2, 3)], samples)
    assert [sample.map_shape for sample in samples] == [(4, 4), (2, 3)]
