# Copyright (c) group_wsss contributors. All rights reserved.
"""Options that cannot be, of all refiners and labelers."""
import inspect

import pytest

from group_wsss import pseudo_labels
from group_wsss.utils.errors import InputError

NAN, INF = float('nan'), float('inf')
BAD = dict(
    AttentionWalk=dict(
        affinity=['colour'],
        shift=[-1],
        scale=[0],
        rounds=[0],
        box_share=[1, -.1],
        max_cells=[0]),
    DenseCRF=dict(
        num_iters=[-1, 2.5],
        gaussian_sxy=[0],
        gaussian_weight=[-1],
        bilateral_sxy=[-2.],
        bilateral_srgb=[NAN],
        bilateral_weight=[INF],
        unary=['hard'],
        gt_prob=[0., 1.],
        bg_threshold=[0],
        bg_power=[-1.]),
    Judge=dict(nearest=[0], map_margin=[-1], margin=[NAN], min_region=[-.1]),
    PixelAdaptive=dict(
        bg_threshold=[0, 1],
        bg_power=[0],
        downscale=[0, 1.5]),
    RandomWalk=dict(
        beta=[0],
        num_steps=[0],
        radius=[1],
        bg_threshold=[1],
        bg_power=[0],
        power=[0],
        max_pixels=[0]),
    RegionVote=dict(
        vote=['max'],
        region_share=[1, -.1],
        label_share=[0, 1.1],
        bg_threshold=[0]),
    Saliency=dict(weight=[2, -.1]),
    SaliencyLabeler=dict(
        bg_threshold=[-.1],
        conflict_threshold=[1.1],
        attention_threshold=[2],
        evidence_threshold=[NAN],
        min_foreground=[-1]),
    Segmentor=dict(map_weight=[-1], max_pixels=[0], bg_threshold=[1]),
    ThresholdLabeler=dict(
        bg_threshold=[1.5, -.1, NAN, 'otsu ', None, [.3]],
        unknown_threshold=[-1],
        conflict_threshold=[2],
        min_foreground=[1.1],
        margin=[-.1]))  # yapf: disable


@pytest.mark.parametrize('kind, name, value', [
    (kind, name, value) for kind, options in BAD.items()
    for name, values in options.items() for value in values
])  # yapf: disable
def test_refused_before_a_file_is_read(kind, name, value):
    factory = getattr(pseudo_labels, kind)
    needed = [
        key for key, option in inspect.signature(factory).parameters.items()
        if option.default is option.empty
    ]
    with pytest.raises(InputError) as caught:
        factory(**dict.fromkeys(needed, 'nowhere'), **{name: value})
    text = str(caught.value)
    assert text.startswith(f'{name} of {kind} is {value!r}, must be ')
    assert '\n' not in text


def test_options_that_go_together():
    with pytest.raises(AssertionError, match='above bg_threshold'):
        pseudo_labels.ThresholdLabeler(.3, unknown_threshold=.4)
    with pytest.raises(AssertionError, match='margin'):
        pseudo_labels.ThresholdLabeler('otsu', unknown_threshold=.1)
