# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Iterable, Iterator, List, Optional, Sequence, Union

from mmengine.config import Config
from mmpretrain.structures import DataSample

from ..pseudo_labels import LabelPipeline, Refiners
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
        self.label: Any = None


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
        self.pipeline = LabelPipeline(
            TASK_UTILS.build(dict(self.labeler_cfg)),
            Refiners(self.refiners_cfg))

    @property
    def thresholds(self) -> List[float]:
        """list[float]: Those that rules chose in the last run."""
        return self.pipeline.thresholds

    def __call__(self, items: Iterable[Item]) -> Iterator[Item]:
        """Refine and label.

        Args:
            items (Iterable[Item]): With score maps.

        Yields:
            Item: Refined, with ``label``, uint8 ``(H, W)``.
        """
        self.pipeline.resume([])
        while self.pipeline.waits:
            items = [self._advanced(item) for item in items]
            for item in items:
                self.pipeline.count(item.score_map)
            self.pipeline.fit(self.pipeline.histogram)
        yield from map(self._advanced, items)

    def _advanced(self, item: Item) -> Item:
        item.score_map, item.label = self.pipeline.advance(
            item.score_map, item.photo.rgb)
        return item


def hook_config(cfg: Config) -> dict:
    """Settings of the config's ``PseudoLabelHook``, {} without one."""
    for hook in [
            *(cfg.get('default_hooks', None) or {}).values(),
            *(cfg.get('custom_hooks', None) or [])
    ]:
        if hook and str(hook.get('type')).split('.')[-1] == 'PseudoLabelHook':
            return hook
    return {}
