# Copyright (c) group_wsss contributors. All rights reserved.
import math

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from group_wsss.models.segmentors import absent_classes, stack_soft_labels
from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import ScoreMap
from group_wsss.utils.errors import InputError


def sample(scores, labels):
    out = SegDataSample(metainfo=dict(score_labels=labels, img_path='a.jpg'))
    out.gt_scores = PixelData(data=scores)
    return out


def test_equals_plain_loop():
    scores = [torch.rand(2, 4, 5), torch.rand(1, 6, 3), torch.rand(0, 6, 7)]
    labels = [[1, 4], [2], []]
    scores[0][1, 2, 2] = -1
    soft = stack_soft_labels([sample(*x) for x in zip(scores, labels)], (6, 7),
                             5, 0.4, 0.1)
    want = torch.zeros(3, 5, 6, 7)
    for b in range(3):
        for y, x in np.ndindex(*scores[b].shape[1:]):
            if (b, y, x) == (0, 2, 2):
                continue
            powers = [math.exp(s / 0.1) for s in (0.4, *scores[b][:, y, x])]
            for label, power in zip((0, *labels[b]), powers):
                want[b, label, y, x] = power / sum(powers)
    torch.testing.assert_close(soft, want)
    assert (want[2, 0] == 1).all()  # no class at all: background


def test_strongest_is_the_label_of_the_labeler():
    maps = np.random.default_rng(0).random((3, 20, 30), dtype=np.float32)
    label = ThresholdLabeler(0.7)(ScoreMap('x', (20, 30), [1, 3, 4], maps))
    soft = stack_soft_labels([sample(torch.from_numpy(maps), [2, 4, 5])],
                             (20, 30), 6, 0.7, 0.05)
    np.testing.assert_array_equal(soft[0].argmax(0), label)
    assert len(np.unique(label)) == 4


def test_threshold_of_each_sample():
    scores = torch.rand(2, 4, 5)
    samples = [sample(scores, [1, 2]) for _ in range(2)]
    samples[0].set_metainfo(dict(score_threshold=0.2))
    samples[1].set_metainfo(dict(score_threshold=0.7))
    soft = stack_soft_labels(samples, (4, 5), 3, None, 0.1)
    for i, threshold in enumerate((0.2, 0.7)):
        want = stack_soft_labels([samples[i]], (4, 5), 3, threshold, 0.1)
        assert torch.equal(soft[i], want[0])
    # a number given to the model is stronger
    soft = stack_soft_labels(samples, (4, 5), 3, 0.4, 0.1)
    assert torch.equal(soft[0], soft[1])
    with pytest.raises(InputError, match='a.jpg: .* set bg_threshold'):
        stack_soft_labels([sample(scores, [1, 2])], (4, 5), 3, None, 0.1)


def test_absent_classes():
    samples = [
        sample(torch.rand(2, 4, 4), [1, 3]),
        sample(torch.rand(0, 4, 4), [])
    ]
    want = [[False, False, True, False], [False, True, True, True]]
    assert absent_classes(samples, 4).tolist() == want
    with pytest.raises(InputError, match='restrict_to_tags'):
        absent_classes([SegDataSample()], 4)
    assert stack_soft_labels([SegDataSample()], (4, 4), 3, 0.4, 0.1) is None
    with pytest.raises(InputError, match='a.jpg: .* label 3'):
        stack_soft_labels(samples, (4, 4), 3, 0.4, 0.1)
