# Copyright (c) group_wsss contributors. All rights reserved.
import inspect
from typing import Any, Iterable, Iterator, List, NamedTuple, Tuple

import numpy as np
from mmengine.config import Config
from mmpretrain.structures import DataSample

from ..pseudo_labels import LabelPipeline
from ..registry import TASK_UTILS
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


def whole_images(steps: List[Any]) -> List[Any]:
    """Transforms of a classifier's test as label images need them.

    Args:
        steps (list): Built transforms.

    Returns:
        list: Without center crops, and what packs a sample packs its id and
        the size of its image.
    """
    steps = [s for s in steps if type(s).__name__ != 'CenterCrop']
    for step in steps:
        keys = getattr(step, 'meta_keys', None)
        if keys is not None:
            more = [k for k in ('img_id', 'ori_shape') if k not in keys]
            step.meta_keys = (*keys, *more)
    return steps


def with_device(step: dict, device: str) -> dict:
    """Config of a refiner that runs where the network does.

    Args:
        step (dict): Config; its own ``device`` stays.
        device (str): Such as ``'cuda:1'``.

    Returns:
        dict: A copy; unchanged if the refiner takes no device.
    """
    kind = TASK_UTILS.get(str(step.get('type')))
    if kind is not None and 'device' in inspect.signature(kind).parameters:
        return dict(dict(device=device), **step)
    return dict(step)
