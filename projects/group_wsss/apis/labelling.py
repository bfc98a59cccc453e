# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Iterable, Iterator, NamedTuple, Tuple

import numpy as np
from mmengine.config import Config
from mmpretrain.structures import DataSample

from ..pseudo_labels import LabelPipeline
from ..structures import ScoreMap
from .images import InputImage


class Labelled(NamedTuple):
    """An image with its results.

    Attributes:
        image (InputImage): The image.
        sample (DataSample): Output of the network.
        score_map (ScoreMap): Refined scores.
        label (np.ndarray): uint8 ``(H, W)``.
    """
    image: InputImage
    sample: DataSample
    score_map: ScoreMap
    label: np.ndarray


def label_images(
        pipeline: LabelPipeline,
        found: Iterable[Tuple[DataSample, InputImage]]) -> Iterator[Labelled]:
    """Refine and label, one image at a time.

    Before a step whose threshold follows from the scores of all images
    (``rule``) they wait in memory.

    Args:
        pipeline (LabelPipeline): Refiners and labeler.
        found (Iterable[tuple[DataSample, InputImage]]): Outputs of the
            network, and their images.

    Yields:
        Labelled: In the same order.
    """
    pipeline.resume([])
    items: Iterable = ((image, sample, ScoreMap.from_sample(sample))
                       for sample, image in found)
    while pipeline.waits:
        items = [(image, sample, pipeline.advance(score_map, image.rgb)[0])
                 for image, sample, score_map in items]
        for _, _, score_map in items:
            pipeline.count(score_map)
        pipeline.fit(pipeline.histogram)
    for image, sample, score_map in items:
        score_map, label = pipeline.advance(score_map, image.rgb)
        assert label is not None, 'nothing waits any more'
        yield Labelled(image, sample, score_map, label)


def hook_config(cfg: Config) -> dict:
    """Settings of the config's ``PseudoLabelHook``, {} without one."""
    for hook in [
            *(cfg.get('default_hooks', None) or {}).values(),
            *(cfg.get('custom_hooks', None) or [])
    ]:
        if hook and str(hook.get('type')).split('.')[-1] == 'PseudoLabelHook':
            return hook
    return {}
