# Copyright (c) group_wsss contributors. All rights reserved.
import copy
import inspect
from typing import (Callable, Iterable, Iterator, NamedTuple, Optional,
                    Sequence, Tuple)

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample

from ..datasets import LoadImage
from ..pseudo_labels import LabelPipeline
from ..registry import TASK_UTILS, TRANSFORMS
from ..structures import ScoreMap
from ..utils.config import scope_of
from ..utils.errors import InputError
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


def build_pipeline(
        cfg: Config,
        steps: Optional[Sequence[dict]]) -> Tuple[Callable, Compose]:
    """Transforms of testing as label images need them.

    Without center crops of a classifier; what packs a sample packs its id
    and the size of its image.

    Args:
        cfg (Config): The config, for its scope and name.
        steps (Sequence[dict], optional): Configs of the transforms.

    Returns:
        tuple: What loads an image, and what follows.

    Raises:
        InputError: There are none.
    """
    if not steps:
        raise InputError(f'{cfg.filename or "config"}: has no test pipeline '
                         '(test_dataloader.dataset.pipeline)')
    with DefaultScope.overwrite_default_scope(scope_of(cfg)):
        # building changes what it is given, and the manifest has it
        built = [TRANSFORMS.build(copy.deepcopy(step)) for step in steps]
    loads, others = [], []
    for step in built:
        name = type(step).__name__
        if getattr(step, 'meta_keys', None) is not None:
            more = {'img_id', 'ori_shape'}.difference(step.meta_keys)
            step.meta_keys = (*step.meta_keys, *sorted(more))
        if name.startswith('Load'):
            loads.append(step)
        elif name != 'CenterCrop':
            others.append(step)
    return loads[0] if loads else LoadImage(), Compose(others)


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
