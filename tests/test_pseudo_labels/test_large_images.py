# Copyright (c) group_wsss contributors. All rights reserved.
"""Labels of large images without all maps in memory."""
import tracemalloc

import numpy as np
import pytest

from group_wsss.pseudo_labels import SaliencyLabeler, ThresholdLabeler
from group_wsss.structures import ScoreMap

LABELERS = [
    ThresholdLabeler(0.5, conflict_threshold=0.8, margin=0.1),
    ThresholdLabeler(0.5, unknown_threshold=0.3, min_foreground=0.2),
    SaliencyLabeler(attention_threshold=0.3, min_foreground=0.0)
]


def maps_of(classes, small, shape):
    rng = np.random.default_rng(sum(small) + sum(shape))
    return ScoreMap('x', shape, range(classes),
                    rng.random((classes, *small), dtype=np.float32))


@pytest.mark.parametrize('small, shape', [((7, 5), (90, 131)),
                                          ((90, 131), (40, 47)),
                                          ((5, 1), (64, 3)), ((9, 9), (9, 9))])
@pytest.mark.parametrize('classes', (0, 1, 4))
def test_one_map_at_a_time_has_the_bytes_of_all(classes, small, shape):
    scores = maps_of(classes, small, shape)
    large = scores.resize()
    assert b''.join(one.tobytes()
                    for one in scores.full_maps()) == large.maps.tobytes()
    for got, want in zip(scores.best(full=True), large.best()):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize('labeler', LABELERS)
def test_memory_does_not_grow_with_classes(labeler):
    """A map of the image is 8 MB, all of them would be 320."""
    scores = maps_of(40, (4, 4), (1000, 2000))
    tracemalloc.start()
    labeler(scores)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6
