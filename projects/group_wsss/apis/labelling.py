# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Iterable, Iterator, List, Optional, Sequence, Union

import numpy as np
from mmengine.config import Config
from mmpretrain.structures import DataSample

from ..pseudo_labels import Refiners
from ..pseudo_labels.thresholds import NUM_BINS, score_histogram
from ..registry import TASK_UTILS
from ..structures import ScoreMap
from .images import Photo


class Item:
    """An image on its way to a label.

    Args:
        photo (Photo): The image.
        sample (DataSample): What the network says of it.
    """

    def __init__(self, photo: Photo, sample: DataSample) -> None:
        self.photo = photo
        self.sample = sample
        self.score_map = ScoreMap.from_sample(sample)
        self.label: Optional[np.ndarray] = None


class Labelling:
    """Refiners and labeler, one image at a time.

    A step whose threshold follows from the scores of all images
    (``rule``) waits for them, in memory.

    Args:
        cfg (Config): Its ``PseudoLabelHook`` gives what is not given here.
        refiners (Sequence[dict], optional): Configs of refiners.
        labeler (dict, optional): Config of a labeler; without one anywhere
            ``dict(type='group_wsss.ThresholdLabeler')``.
        bg_threshold (float | str, optional): Replaces that of the labeler.
    """

    def __init__(self,
                 cfg: Config,
                 refiners: Optional[Sequence[dict]] = None,
                 labeler: Optional[dict] = None,
                 bg_threshold: Union[float, str, None] = None) -> None:
        hook = hook_config(cfg)
        self.labeler_cfg = dict(
            labeler or hook.get('labeler')
            or dict(type='group_wsss.ThresholdLabeler'))
        if bg_threshold is not None:
            self.labeler_cfg['bg_threshold'] = bg_threshold
        if refiners is None:
            refiners = hook.get('refiners') or ()
        self.refiners_cfg = [dict(step) for step in refiners]
        self.labeler = TASK_UTILS.build(dict(self.labeler_cfg))
        self.refiners = Refiners([dict(step) for step in refiners])
        # those that rules chose in the last run
        self.thresholds: List[float] = []

    def __call__(self, items: Iterable[Item]) -> Iterator[Item]:
        """Refine and label.

        Args:
            items (Iterable[Item]): With score maps.

        Yields:
            Item: Refined, with ``label``, uint8 ``(H, W)``.
        """
        self.thresholds = []
        for step in self.refiners.steps:
            items = self._refined(step, items)
        for item in self._fitted(self.labeler, items):
            item.label = self.labeler(item.score_map)
            yield item

    def _refined(self, step: Any, items: Iterable[Item]) -> Iterator[Item]:
        run = Refiners([step])
        for item in self._fitted(step, items):
            item.score_map = run(item.score_map, item.photo.rgb)
            yield item

    def _fitted(self, step: Any, items: Iterable[Item]) -> Iterator[Item]:
        """Show a step with a rule the scores of all images first."""
        if getattr(step, 'rule', None) is not None:
            items = list(items)
            histogram = np.zeros(NUM_BINS, dtype=np.int64)
            for item in items:
                histogram += score_histogram(item.score_map)
            self.thresholds.append(step.fit(histogram))
        yield from items


def hook_config(cfg: Config) -> dict:
    """Settings of the config's ``PseudoLabelHook``, {} without one."""
    for hook in cfg.get('custom_hooks', None) or []:
        if str(hook.get('type')).split('.')[-1] == 'PseudoLabelHook':
            return hook
    return {}
